"""Reading the rows of webhooks: one file for each kind."""

from apps.webhooks.selectors.deliveries import (
    OUTCOMES,
    STATUSES,
    Wanted,
    attempts,
    deliveries,
    delivery,
    shown_attempt,
    shown_delivery,
    shown_in_full,
)
from apps.webhooks.selectors.endpoints import endpoint, endpoints, shown_endpoint
from apps.webhooks.selectors.keys import (
    KEYS_KEPT,
    NEWEST,
    SealedKey,
    active,
    active_keys,
    key_place,
    published_keys,
    shown_key,
    signing_keys,
)
from apps.webhooks.selectors.messages import bodies
from apps.webhooks.selectors.recoveries import recoveries, recovery, shown_recovery
from apps.webhooks.selectors.waiting import Waiting, waiting

__all__ = [
    "KEYS_KEPT",
    "NEWEST",
    "OUTCOMES",
    "STATUSES",
    "SealedKey",
    "Waiting",
    "Wanted",
    "active",
    "active_keys",
    "attempts",
    "bodies",
    "deliveries",
    "delivery",
    "endpoint",
    "endpoints",
    "key_place",
    "published_keys",
    "recoveries",
    "recovery",
    "shown_attempt",
    "shown_delivery",
    "shown_endpoint",
    "shown_in_full",
    "shown_key",
    "shown_recovery",
    "signing_keys",
    "waiting",
]
