"""Celery's way in."""

from celery import shared_task

from apps.base.drains import patiently
from apps.matching import services

SHARE_SECONDS = 0.5
"""A call ends then: timers and new tasks may wait for the same process, and whoever comes free after its
organisation's last turn waits for the next call."""


@shared_task(ignore_result=True)
def drain_matching() -> None:
    patiently(lambda: services.match_queued(budget_seconds=SHARE_SECONDS))
