"""Manage an organisation's endpoints, and send test events to them."""

from apps.webhooks.services.endpoints.endpoint_settings import add_pool_check
from apps.webhooks.services.endpoints.management import (
    create_endpoint,
    delete_endpoint,
    update_endpoint,
)
from apps.webhooks.services.endpoints.test_events import send_test_event

__all__ = [
    "add_pool_check",
    "create_endpoint",
    "delete_endpoint",
    "send_test_event",
    "update_endpoint",
]
