"""Define the Celery jobs."""

from celery import shared_task

from apps.base.drains import tolerate_outage
from apps.reviews import services


@shared_task(ignore_result=True)
def drain_verification() -> None:
    """Verify and complete the submitted tasks."""
    tolerate_outage(services.verify_submitted)
