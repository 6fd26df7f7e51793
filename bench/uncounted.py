"""The service without roll-ups, to measure what they cost (rollups.py). For measurements only."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

from config.celery import app

__all__ = ["app"]

django.setup()

from apps.tasks import transitions  # noqa: E402 - after the setup
from config.wiring import count_task  # noqa: E402

transitions._reactions[:] = [
    (events, reaction) for events, reaction in transitions._reactions if reaction is not count_task
]
