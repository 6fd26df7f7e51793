"""The rows of webhooks. This room knows events, not tasks: it could be lifted out whole."""

from apps.webhooks.models.deliveries import (
    FINAL,
    Attempt,
    Delivery,
    DeliveryStatus,
    Message,
    Wait,
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
    "Wait",
]
