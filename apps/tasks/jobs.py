"""Celery's way in."""

from celery import shared_task

from apps.tasks import services


@shared_task(ignore_result=True)
def drain_intake() -> None:
    services.queue_created()
