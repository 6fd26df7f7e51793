"""Move the cursors of subscriptions, only forward, and note why they stay."""

from datetime import datetime

from apps.operations.models import MAX_ERROR_BYTES, BridgeCursor, BridgeSubscription
from apps.tasks.models import Task


def ensure_cursor(task: Task, wire_id: str) -> None:
    """Create the cursor of a subscription, unless one of the same id has left its own."""
    BridgeCursor.objects.get_or_create(
        task_id=task.id,
        subscription=wire_id,
        defaults={"organisation_id": task.organisation_id},
    )


def cursor_of(subscription: BridgeSubscription) -> BridgeCursor:
    """Return the cursor of a locked subscription."""
    return BridgeCursor.objects.get(task_id=subscription.task_id, subscription=subscription.wire_id)


def delivery_id_of(subscription: BridgeSubscription, sequence: int) -> str:
    """Return the id by which a receiver tells a notification from others."""
    return f"notif:{subscription.wire_id}:{sequence}"


def advance_delivered(
    subscription: BridgeSubscription, *, sequence: int, delivered_at: datetime, at: datetime
) -> None:
    """Move the cursor of a locked subscription to an event that its bridge has received."""
    _advance(
        subscription,
        sequence,
        at,
        last_delivered_at=delivered_at,
        last_delivery_id=delivery_id_of(subscription, sequence),
        last_error="",
    )


def advance_passed(
    subscription: BridgeSubscription, *, sequence: int, error: str, at: datetime
) -> None:
    """Move the cursor of a locked subscription over events that are not sent."""
    _advance(subscription, sequence, at, last_error=error)


def _advance(
    subscription: BridgeSubscription, sequence: int, at: datetime, **values: object
) -> None:
    BridgeCursor.objects.filter(
        task_id=subscription.task_id,
        subscription=subscription.wire_id,
        last_sequence__lt=sequence,
    ).update(last_sequence=sequence, updated_at=at, **values)


def note_error(subscription: BridgeSubscription, error: str, *, at: datetime) -> None:
    """Note why the cursor of a locked subscription stays; it is written if it is another reason."""
    text = error.encode()[:MAX_ERROR_BYTES].decode(errors="ignore")
    own = BridgeCursor.objects.filter(
        task_id=subscription.task_id, subscription=subscription.wire_id
    )
    own.exclude(last_error=text).update(last_error=text, updated_at=at)
