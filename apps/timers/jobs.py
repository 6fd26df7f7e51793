"""Celery's way in."""

from celery import shared_task

from apps.base.drains import drain
from apps.timers import services


@shared_task(ignore_result=True)
def drain_timers() -> None:
    drain(services.fire_due)
