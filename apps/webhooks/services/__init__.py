"""What webhooks do: announce events, deliver them, recover what failed, manage endpoints and keys."""

from apps.webhooks.services.announcing import (
    Telling,
    announce,
    open_callback,
    reopen_callback,
)
from apps.webhooks.services.claiming import SOONEST_DELIVERY
from apps.webhooks.services.describing import add_pool_check
from apps.webhooks.services.draining import deliver_due
from apps.webhooks.services.endpoints import create_endpoint, delete_endpoint, update_endpoint
from apps.webhooks.services.keeping import forget_callbacks, tidy_up
from apps.webhooks.services.keys import (
    Rotation,
    expire_key,
    forget_old_keys,
    keys_of,
    new_signing_secret,
    rotate_key,
)
from apps.webhooks.services.recovering import release_recoveries, resend, start_recovery
from apps.webhooks.services.reencrypting import reencrypt
from apps.webhooks.services.trying import send_test_event

__all__ = [
    "SOONEST_DELIVERY",
    "Rotation",
    "Telling",
    "add_pool_check",
    "announce",
    "create_endpoint",
    "delete_endpoint",
    "deliver_due",
    "expire_key",
    "forget_callbacks",
    "forget_old_keys",
    "keys_of",
    "new_signing_secret",
    "open_callback",
    "reencrypt",
    "release_recoveries",
    "reopen_callback",
    "resend",
    "rotate_key",
    "send_test_event",
    "start_recovery",
    "tidy_up",
    "update_endpoint",
]
