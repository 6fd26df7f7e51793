"""Why a delivery waits, and until when: what holds it up longest is what it waits for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from apps.webhooks.models import Delivery, DeliveryStatus, DestinationStatus, Origin, Wait


@dataclass(frozen=True, slots=True)
class Waiting:
    """`reason` is null for what is final. `until` is null where no time is known: it is being sent
    now, or held until somebody enables its endpoint.
    """

    reason: str | None
    until: datetime | None = None


def waiting(delivery: Delivery, *, at: datetime) -> Waiting:
    """What an unfinished delivery waits for. Needs its destination and origin.

    As the claim sees it (services/claiming.py): a lease that has passed is nobody's any more, and a
    destination that is not enabled holds what comes due.
    """
    if delivery.status not in (DeliveryStatus.PENDING, DeliveryStatus.HELD):
        return Waiting(None)
    if delivery.claim_token is not None and delivery.due_at > at:
        return Waiting("under_way")
    if delivery.destination.status != DestinationStatus.ENABLED:
        return Waiting(f"endpoint_{delivery.destination.status}")
    if delivery.status == DeliveryStatus.HELD:
        # It has been enabled; the recovery that releases what was held has yet to come to this one.
        return Waiting(Wait.RESENT.value)
    times = [(delivery.due_at, str(delivery.wait)), *_gates(delivery.origin, at)]
    until, reason = max(times, key=lambda each: each[0])
    return Waiting(reason, until)


def _gates(origin: Origin, at: datetime) -> Iterator[tuple[datetime, str]]:
    """What holds up the whole origin. The breaker counts even when it may be probed: one at a time."""
    if origin.open_until is not None:
        yield origin.open_until, "breaker"
    if origin.held_until is not None and origin.held_until > at:
        yield origin.held_until, "receiver_asked"
    if origin.next_slot_at is not None and origin.next_slot_at > at:
        yield origin.next_slot_at, "rate_limit"
