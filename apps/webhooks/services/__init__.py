"""Offer what webhooks do: deliver events, recover failed ones, manage endpoints and keys."""

from apps.webhooks.services.endpoints import (
    add_pool_check,
    address_checks,
    bridge_credentials,
    change_bridge,
    create_bridge,
    create_endpoint,
    delete_bridge,
    delete_endpoint,
    empty_bridge,
    lock_bridge,
    may_filter_by,
    origin_for,
    send_test_event,
    update_endpoint,
)
from apps.webhooks.services.keys import (
    Rotation,
    delete_expired_keys,
    expire_key,
    keys_of,
    new_signing_secret,
    rotate_key,
)
from apps.webhooks.services.notifications import withdraw_notification
from apps.webhooks.services.pipeline import (
    NEXT_DELIVERY_AT,
    apply_retention,
    delete_old_callbacks,
    deliver_due,
    listen_to_notifications,
    purge_subjects,
)
from apps.webhooks.services.recoveries import release_recoveries, resend, start_recovery

__all__ = [
    "NEXT_DELIVERY_AT",
    "Rotation",
    "add_pool_check",
    "address_checks",
    "apply_retention",
    "bridge_credentials",
    "change_bridge",
    "create_bridge",
    "create_endpoint",
    "delete_bridge",
    "delete_endpoint",
    "delete_expired_keys",
    "delete_old_callbacks",
    "deliver_due",
    "empty_bridge",
    "expire_key",
    "keys_of",
    "listen_to_notifications",
    "lock_bridge",
    "may_filter_by",
    "new_signing_secret",
    "origin_for",
    "purge_subjects",
    "release_recoveries",
    "resend",
    "rotate_key",
    "send_test_event",
    "start_recovery",
    "update_endpoint",
    "withdraw_notification",
]
