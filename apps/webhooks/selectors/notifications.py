"""Read how the delivery of a notification stands."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.webhooks.models import FINAL, Attempt, Delivery, DeliveryStatus


@dataclass(frozen=True, slots=True)
class NotificationState:
    """Hold the state of a notification's delivery."""

    # Null until a receiver has accepted it.
    delivered_at: datetime | None
    # It was given up, or has expired.
    is_lost: bool
    # Why the last attempt failed; empty before the first.
    error: str


def notification_state(delivery_id: UUID) -> NotificationState | None:
    """Return the state of a delivery; None where it does not exist any more."""
    row = Delivery.objects.filter(id=delivery_id).first()
    if row is None:
        return None
    if row.status == DeliveryStatus.SUCCEEDED:
        return NotificationState(row.finished_at, is_lost=False, error="")
    return NotificationState(None, is_lost=row.status in FINAL, error=_error(row))


def _error(row: Delivery) -> str:
    """Return why the last attempt failed, in a few words."""
    if not row.last_outcome:
        return "It was not delivered in time." if row.status in FINAL else ""
    if row.last_status_code is not None:
        return f"The bridge answered HTTP {row.last_status_code}."
    last = Attempt.objects.filter(delivery_id=row.id).order_by("-number").first()
    words = last.error if last is not None else ""
    return f"The bridge was not reached: {words or row.last_outcome}."
