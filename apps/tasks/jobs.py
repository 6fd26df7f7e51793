"""Define the Celery jobs."""

from celery import shared_task

from apps.base.drains import tolerate_outage
from apps.tasks import services


@shared_task(ignore_result=True)
def drain_intake() -> None:
    """Queue the tasks that are ready."""
    tolerate_outage(services.queue_created)
