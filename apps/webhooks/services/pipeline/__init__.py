"""Deliver messages: claim due deliveries, send them, record the results, delete what is old."""

from apps.webhooks.services.pipeline.claiming import NEXT_DELIVERY_AT
from apps.webhooks.services.pipeline.draining import deliver_due
from apps.webhooks.services.pipeline.purging import purge_subjects
from apps.webhooks.services.pipeline.recording import listen_to_notifications
from apps.webhooks.services.pipeline.retention import apply_retention, delete_old_callbacks

__all__ = [
    "NEXT_DELIVERY_AT",
    "apply_retention",
    "delete_old_callbacks",
    "deliver_due",
    "listen_to_notifications",
    "purge_subjects",
]
