"""Celery's way in."""

from celery import shared_task

from apps.matching import services


@shared_task(ignore_result=True)
def drain_matching() -> None:
    services.match_queued()
