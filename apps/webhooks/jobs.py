"""Celery's way in."""

import sys

from celery import shared_task

from apps.base.drains import tolerate_outage
from apps.base.wake import is_stopping
from apps.webhooks import services

TURN_SECONDS = 0.02


@shared_task(ignore_result=True)
def drain_deliveries() -> None:
    """Deliver as long as there is something to: this process does nothing else."""
    # The drain and the sender both have work for long. Changing places every 5 ms, as Python has it,
    # costs them more than it spares either.
    sys.setswitchinterval(TURN_SECONDS)
    tolerate_outage(lambda: services.deliver_due(budget_seconds=None, is_stopping=is_stopping))


@shared_task(ignore_result=True)
def drain_recoveries() -> None:
    tolerate_outage(services.release_recoveries)
