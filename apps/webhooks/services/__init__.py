"""Offer what webhooks do: deliver events, recover failed ones, manage endpoints and keys."""

from apps.webhooks.services.endpoints import (
    add_pool_check,
    create_endpoint,
    delete_endpoint,
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
from apps.webhooks.services.pipeline import (
    NEXT_DELIVERY_AT,
    apply_retention,
    delete_old_callbacks,
    deliver_due,
    purge_subjects,
)
from apps.webhooks.services.recoveries import release_recoveries, resend, start_recovery

__all__ = [
    "NEXT_DELIVERY_AT",
    "Rotation",
    "add_pool_check",
    "apply_retention",
    "create_endpoint",
    "delete_endpoint",
    "delete_expired_keys",
    "delete_old_callbacks",
    "deliver_due",
    "expire_key",
    "keys_of",
    "new_signing_secret",
    "purge_subjects",
    "release_recoveries",
    "resend",
    "rotate_key",
    "send_test_event",
    "start_recovery",
    "update_endpoint",
]
