"""Celery's way in."""

from celery import shared_task

from apps.base.drains import patiently
from apps.reviews import services


@shared_task(ignore_result=True)
def drain_verification() -> None:
    patiently(services.verify_submitted)
