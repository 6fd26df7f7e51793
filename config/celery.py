"""Configure Celery, which only wakes the drains: all work is stored in rows of PostgreSQL."""

import os
import sys

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Celery's command line imports this before the settings; every other process imports it as well.
if "worker" in sys.argv:
    os.environ.setdefault("BIOLAYER_PROCESS", "worker")

app = Celery("biolayer")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(related_name="jobs")


@setup_logging.connect
def _log_like_django(**_: object) -> None:
    """Prevent Celery from installing log handlers of its own."""
