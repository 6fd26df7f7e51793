"""Determine what an unfinished delivery waits for, and until when."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from apps.webhooks.models import Delivery, DeliveryStatus, DestinationStatus, Origin, WaitReason


@dataclass(frozen=True, slots=True)
class CurrentWait:
    """Describe what a delivery waits for.

    `reason` is None for a final one. `until` is None where no time is known: it is being sent now,
    or held until its endpoint is enabled.
    """

    reason: str | None
    until: datetime | None = None


def current_wait(delivery: Delivery, *, at: datetime) -> CurrentWait:
    """Return what an unfinished delivery waits for: the reason that ends last.

    Reads the delivery's destination and origin. The rules are those of the claim
    (services/pipeline/claiming.py): an expired claim does not count, and a destination that is not
    enabled holds what becomes due.
    """
    if delivery.status not in (DeliveryStatus.PENDING, DeliveryStatus.HELD):
        return CurrentWait(None)
    if delivery.claim_token is not None and delivery.due_at > at:
        return CurrentWait("under_way")
    if delivery.destination.status != DestinationStatus.ENABLED:
        return CurrentWait(f"endpoint_{delivery.destination.status}")
    if delivery.status == DeliveryStatus.HELD:
        # The endpoint was enabled; the recovery has not reached this delivery yet.
        return CurrentWait(WaitReason.RESENT.value)
    waits = [(delivery.due_at, str(delivery.wait)), *_origin_waits(delivery.origin, at)]
    until, reason = max(waits, key=lambda wait: wait[0])
    return CurrentWait(reason, until)


def _origin_waits(origin: Origin, at: datetime) -> Iterator[tuple[datetime, str]]:
    """Yield what delays the whole origin.

    An open breaker counts even when it may be probed: one delivery at a time is sent.
    """
    if origin.open_until is not None:
        yield origin.open_until, "breaker"
    if origin.held_until is not None and origin.held_until > at:
        yield origin.held_until, "receiver_asked"
    if origin.next_slot_at is not None and origin.next_slot_at > at:
        yield origin.next_slot_at, "rate_limit"
