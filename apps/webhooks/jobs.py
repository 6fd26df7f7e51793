"""Celery's way in."""

from celery import shared_task

from apps.webhooks import services


@shared_task(ignore_result=True)
def drain_deliveries() -> None:
    services.deliver_due()
