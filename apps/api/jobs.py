"""Celery's way in."""

from celery import shared_task

from apps.api import services


@shared_task(ignore_result=True)
def forget_old_keys() -> None:
    services.forget_old_keys()
