"""Update endpoints' failure streaks, disable endpoints, and emit the events about both.

The rules are those of failure_streak.py; a 410 disables at once. The events (`endpoint.*`,
`delivery.*`) are about an organisation's own deliveries. They go to the endpoints that subscribe to
them by name or family, never to the one they are about, and belong to no task's log. The delivery
of an operational event emits no further one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from apps.base.rows import Change, Update, write
from apps.webhooks import changes
from apps.webhooks.http_client import INTERNAL_OUTCOMES
from apps.webhooks.models import NOTIFICATION, Attempt, Destination, DestinationStatus
from apps.webhooks.outbound_event import OutboundEvent
from apps.webhooks.services.pipeline.failure_streak import DISABLED_AT_EVENTS, FailureStreak
from apps.webhooks.services.pipeline.outcomes import EndedAttempt
from biolayer.times import format_time

FAMILIES = ("endpoint.", "delivery.")
# Changes in one statement: thousands of deliveries may be given up in one batch.
MAX_CHANGES = 64


def emit(attempts: Sequence[EndedAttempt]) -> None:
    """Update each endpoint's failure streak, and emit what is new, in the present transaction."""
    rows = [change for attempt in attempts for change in _delivery_changes(attempt)]
    relevant = [attempt for attempt in attempts if affects_destination(attempt)]
    relevant.sort(key=lambda attempt: attempt.delivery.destination_id)
    for destination_id, group in groupby(
        relevant, key=lambda attempt: attempt.delivery.destination_id
    ):
        rows += _destination_changes(destination_id, list(group))
    # The fan-out locks endpoints, and a statement skips a row that it changes itself.
    write(change for change in rows if isinstance(change, Update))
    event_rows = [change for change in rows if not isinstance(change, Update)]
    for first in range(0, len(event_rows), MAX_CHANGES):
        write(event_rows[first : first + MAX_CHANGES])


# --- deliveries -----------------------------------------------------------------------------------


def _delivery_changes(attempt: EndedAttempt) -> Iterable[Change]:
    delivery = attempt.delivery
    if delivery.is_test or delivery.event_type.startswith(FAMILIES):
        return []
    if delivery.event_type == NOTIFICATION:
        return []  # Its subscription shows the error, and sends it again.
    if attempt.is_success and delivery.was_exhausted:
        return _delivery_event(attempt, "delivery.recovered")
    if attempt.is_exhausted:
        return _delivery_event(attempt, "delivery.exhausted")
    return []


def _delivery_event(attempt: EndedAttempt, event_type: str) -> Iterable[Change]:
    delivery = attempt.delivery
    event = OutboundEvent(
        organisation_id=delivery.organisation_id,
        subject_id=delivery.id,
        sequence=delivery.attempt_count + 1,
        event_type=event_type,
        occurred_at=attempt.ended_at,
        data={
            "delivery_id": str(delivery.id),
            "endpoint_id": str(delivery.destination_id) if delivery.is_endpoint else None,
            "task_id": str(delivery.subject_id),
            "event_type": delivery.event_type,
            "sequence": delivery.sequence,
            "attempts": delivery.attempt_count + 1,
            "last_error": attempt.error,
        },
        ids=("delivery_id",),
    )
    return changes.event_fan_out(event, except_destination=delivery.destination_id)


# --- destinations ---------------------------------------------------------------------------------


def affects_destination(attempt: EndedAttempt) -> bool:
    """Return whether an attempt may change its destination's row.

    The success of an endpoint without failures does not: nothing is read for it.
    """
    if attempt.result.outcome in INTERNAL_OUTCOMES:
        return False
    if attempt.is_gone:
        return True
    return attempt.delivery.is_endpoint and (attempt.delivery.is_failing or not attempt.is_success)


def _destination_changes(
    destination_id: UUID, attempts: Sequence[EndedAttempt]
) -> Iterator[Change]:
    destination = (
        Destination.objects.select_for_update(no_key=True).filter(id=destination_id).first()
    )
    if destination is None:
        return
    before = FailureStreak(
        destination.failing_since, destination.failure_count, destination.warned_hours
    )
    streak = before.after(attempt.observation() for attempt in attempts)
    last = max(attempts, key=attrgetter("ended_at"))
    values: dict[str, object] = {
        "failing_since": streak.failing_since,
        "failure_count": streak.failure_count,
        "warned_hours": streak.warned_hours,
    }
    report = EndpointReport(destination, streak, last.ended_at)
    reason = _reason_to_disable(destination, streak, attempts)
    hours = streak.due_warning(last.ended_at)
    if reason:
        values |= {"status": DestinationStatus.DISABLED.value, "disabled_reason": reason}
        yield from report.event("endpoint.disabled", {"reason": reason})
    elif hours is not None and destination.status == DestinationStatus.ENABLED:
        values |= {"warned_hours": hours}
        facts = {"hours": hours, "last_error": last.error or ""}
        yield from report.event("endpoint.failing", facts)
    values["notice_count"] = destination.notice_count + bool(reason or hours)
    yield Update(Destination, {"id": destination_id}, values)


def _reason_to_disable(
    destination: Destination, streak: FailureStreak, attempts: Sequence[EndedAttempt]
) -> str:
    if destination.status == DestinationStatus.DISABLED:
        return ""
    if any(attempt.is_gone for attempt in attempts):
        return "gone"
    last_ended_at = max(attempt.ended_at for attempt in attempts)
    if destination.kind == "endpoint" and streak.is_long_enough_to_disable(last_ended_at):
        return "failing" if _failed_events(destination, streak) >= DISABLED_AT_EVENTS else ""
    return ""


def _failed_events(destination: Destination, streak: FailureStreak) -> int:
    """Return how many events failed in this streak, counted up to `DISABLED_AT_EVENTS`."""
    failed = Attempt.objects.filter(
        delivery__destination_id=destination.id, started_at__gte=streak.failing_since
    )
    return len(failed.values_list("delivery_id").distinct()[:DISABLED_AT_EVENTS])


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """Hold what events about one endpoint have in common."""

    endpoint: Destination
    streak: FailureStreak
    at: datetime

    def event(self, event_type: str, facts: dict[str, object]) -> Iterable[Change]:
        """Return the rows of an event about the endpoint; none for a task's callback."""
        endpoint = self.endpoint
        if endpoint.kind != "endpoint":
            return []  # A callback's end is visible at its task's deliveries.
        since = self.streak.failing_since
        event = OutboundEvent(
            organisation_id=endpoint.organisation_id,
            subject_id=endpoint.id,
            sequence=endpoint.notice_count + 1,
            event_type=event_type,
            occurred_at=self.at,
            data={
                "endpoint_id": str(endpoint.id),
                "url": endpoint.url,
                "failing_since": None if since is None else format_time(since),
                "failed_attempts": self.streak.failure_count,
                **facts,
            },
            ids=("endpoint_id",),
        )
        return changes.event_fan_out(event, except_destination=endpoint.id)
