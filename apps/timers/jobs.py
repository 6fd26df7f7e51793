"""Define the Celery jobs."""

from celery import shared_task

from apps.base.drains import drain, tolerate_outage
from apps.timers import services


@shared_task(ignore_result=True)
def drain_timers() -> None:
    """Fire the timers that are due."""
    tolerate_outage(lambda: drain(services.fire_due))
