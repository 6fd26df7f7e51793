"""Read the rows of webhooks: one file for each kind."""

from apps.webhooks.selectors.current_wait import CurrentWait, current_wait
from apps.webhooks.selectors.deliveries import (
    OUTCOMES,
    STATUSES,
    DeliveryFilter,
    attempts,
    attempts_left,
    deliveries,
    delivery,
    is_about_task,
    last_attempts,
    sent_body,
    with_attempts,
)
from apps.webhooks.selectors.endpoints import QueueCounts, endpoint, endpoints, queue_counts
from apps.webhooks.selectors.keys import (
    EXPIRED_KEY_RETENTION,
    NEWEST,
    PublicKey,
    SealedKey,
    active,
    active_keys,
    key_place,
    key_status,
    public_keys,
    signing_keys,
)
from apps.webhooks.selectors.messages import bodies
from apps.webhooks.selectors.origins import breaker_state
from apps.webhooks.selectors.recoveries import (
    RecoveryProgress,
    recoveries,
    recovery,
    recovery_progress,
)

__all__ = [
    "EXPIRED_KEY_RETENTION",
    "NEWEST",
    "OUTCOMES",
    "STATUSES",
    "CurrentWait",
    "DeliveryFilter",
    "PublicKey",
    "QueueCounts",
    "RecoveryProgress",
    "SealedKey",
    "active",
    "active_keys",
    "attempts",
    "attempts_left",
    "bodies",
    "breaker_state",
    "current_wait",
    "deliveries",
    "delivery",
    "endpoint",
    "endpoints",
    "is_about_task",
    "key_place",
    "key_status",
    "last_attempts",
    "public_keys",
    "queue_counts",
    "recoveries",
    "recovery",
    "recovery_progress",
    "sent_body",
    "signing_keys",
    "with_attempts",
]
