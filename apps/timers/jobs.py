"""Celery's way in."""

from celery import shared_task

from apps.base.drains import drain, patiently
from apps.timers import services


@shared_task(ignore_result=True)
def drain_timers() -> None:
    patiently(lambda: drain(services.fire_due))
