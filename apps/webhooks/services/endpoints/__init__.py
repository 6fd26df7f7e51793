"""Manage an organisation's endpoints, and send test events to them."""

from apps.webhooks.services.endpoints.bridges import (
    bridge_credentials,
    change_bridge,
    create_bridge,
    delete_bridge,
    empty_bridge,
    lock_bridge,
    origin_for,
)
from apps.webhooks.services.endpoints.endpoint_settings import (
    add_pool_check,
    address_checks,
    may_filter_by,
)
from apps.webhooks.services.endpoints.management import (
    create_endpoint,
    delete_endpoint,
    update_endpoint,
)
from apps.webhooks.services.endpoints.test_events import send_test_event

__all__ = [
    "add_pool_check",
    "address_checks",
    "bridge_credentials",
    "change_bridge",
    "create_bridge",
    "create_endpoint",
    "delete_bridge",
    "delete_endpoint",
    "empty_bridge",
    "lock_bridge",
    "may_filter_by",
    "origin_for",
    "send_test_event",
    "update_endpoint",
]
