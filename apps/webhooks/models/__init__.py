"""Define the tables of webhooks. They refer to events by subject and sequence, not to tasks."""

from apps.webhooks.models.deliveries import (
    FINAL,
    NOTIFICATION,
    Attempt,
    Delivery,
    DeliveryStatus,
    Message,
    WaitReason,
)
from apps.webhooks.models.destinations import (
    Destination,
    DestinationKind,
    DestinationStatus,
    Origin,
)
from apps.webhooks.models.keys import KeyKind, SigningKey
from apps.webhooks.models.recoveries import Recovery, RecoveryKind

__all__ = [
    "FINAL",
    "NOTIFICATION",
    "Attempt",
    "Delivery",
    "DeliveryStatus",
    "Destination",
    "DestinationKind",
    "DestinationStatus",
    "KeyKind",
    "Message",
    "Origin",
    "Recovery",
    "RecoveryKind",
    "SigningKey",
    "WaitReason",
]
