"""Define the Celery jobs."""

from celery import shared_task

from apps.base.drains import drain, tolerate_outage
from apps.tasks import services

PURGE_SECONDS = 1.0


@shared_task(ignore_result=True)
def drain_intake() -> None:
    """Queue the tasks that are ready."""
    tolerate_outage(services.queue_created)


@shared_task(ignore_result=True)
def drain_retention() -> None:
    """Purge the tasks whose retention has ended, for a short time: others wait for this process."""
    tolerate_outage(lambda: drain(services.purge_due, budget_seconds=PURGE_SECONDS))
