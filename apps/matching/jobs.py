"""Celery's way in."""

from celery import shared_task

from apps.base.drains import patiently
from apps.matching import services


@shared_task(ignore_result=True)
def drain_matching() -> None:
    patiently(services.match_queued)
