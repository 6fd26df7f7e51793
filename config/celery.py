"""Celery: a wake-up, not a memory. Everything it is told is in a row as well."""

import os
import sys

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Celery's command line comes here before it reads the settings; every other process imports this, too.
if "worker" in sys.argv:
    os.environ.setdefault("BIOLAYER_PROCESS", "worker")

app = Celery("biolayer")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(related_name="jobs")


@setup_logging.connect
def _log_like_django(**_: object) -> None:
    """Leave logging to the settings: Celery would install handlers of its own."""
