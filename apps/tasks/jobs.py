"""Celery's way in."""

from celery import shared_task

from apps.base.drains import patiently
from apps.tasks import services


@shared_task(ignore_result=True)
def drain_intake() -> None:
    patiently(services.queue_created)
