"""Define the Celery jobs."""

from celery import shared_task

from apps.base.drains import drain, tolerate_outage
from apps.base.wake import wake
from apps.sandbox import services

SLICE_SECONDS = 0.5
"""Seconds after which a call ends: the process has other work to do, for live organisations."""


@shared_task(ignore_result=True)
def drain_sandbox() -> None:
    """Take the due steps of simulated workers, for a slice of time."""
    tolerate_outage(lambda: wake("sandbox") if _slice() else None)


def _slice() -> int:
    return drain(services.take_due_steps, budget_seconds=SLICE_SECONDS)
