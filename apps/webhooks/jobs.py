"""Celery's way in."""

from celery import shared_task

from apps.base.drains import patiently
from apps.webhooks import services


@shared_task(ignore_result=True)
def drain_deliveries() -> None:
    patiently(services.deliver_due)
