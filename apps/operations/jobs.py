"""Define the Celery jobs."""

from celery import shared_task

from apps.base.drains import drain, tolerate_outage
from apps.operations import services

NOTIFY_SECONDS = 5.0
FOLD_SECONDS = 1.0


@shared_task(ignore_result=True)
def drain_rollups() -> None:
    """Fold the changes of figures and lists, for a short time: others wait for this process."""
    tolerate_outage(lambda: drain(services.fold_all, budget_seconds=FOLD_SECONDS))


@shared_task(ignore_result=True)
def drain_bridges() -> None:
    """Notify bridges of the ends of tasks, for a short time: others wait for this process."""
    tolerate_outage(lambda: drain(services.notify_due, budget_seconds=NOTIFY_SECONDS))
