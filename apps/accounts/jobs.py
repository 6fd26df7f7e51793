"""Define the Celery jobs."""

from celery import shared_task

from apps.accounts import services
from apps.base.drains import drain, tolerate_outage


@shared_task(ignore_result=True)
def drain_audit() -> None:
    """Append the rows of the audit log to their chains."""
    tolerate_outage(lambda: drain(services.chain_audit_events))
