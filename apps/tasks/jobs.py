"""Celery's way in."""

from celery import shared_task

from apps.base.drains import drain
from apps.tasks import services


@shared_task(ignore_result=True)
def drain_intake() -> None:
    drain(services.queue_next)
