"""Define the Celery entry points of webhooks."""

import sys

from celery import shared_task

from apps.base.drains import tolerate_outage
from apps.base.wake import is_stopping
from apps.webhooks import services

SWITCH_INTERVAL_SECONDS = 0.02


@shared_task(ignore_result=True)
def drain_deliveries() -> None:
    """Deliver as long as something is due: this process does nothing else."""
    # The drain's thread and the sender's both have long work. Switching every 5 ms, Python's
    # default, costs them more than it saves either.
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    tolerate_outage(lambda: services.deliver_due(budget_seconds=None, is_stopping=is_stopping))


@shared_task(ignore_result=True)
def drain_recoveries() -> None:
    """Release the deliveries of open recoveries."""
    tolerate_outage(services.release_recoveries)
