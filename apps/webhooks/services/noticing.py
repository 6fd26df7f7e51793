"""What an organisation is told of its deliveries: `endpoint.*` and `delivery.*` events.

They go to the endpoints that ask for them by name or family, never to the one they are about, and
are no part of any task's log. What becomes of a notice's own delivery is never noticed in turn.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from apps.base.rows import Change, Update, write
from apps.webhooks.delivery import OURS
from apps.webhooks.health import DISABLED_AT_EVENTS, Streak
from apps.webhooks.models import Attempt, Destination, DestinationStatus
from apps.webhooks.services.announcing import Telling, announce
from apps.webhooks.services.judging import Ended
from biolayer.times import format_time

NOTICES = ("endpoint.", "delivery.")
AT_ONCE = 64
"""Changes in one statement: thousands of deliveries may be given up in one batch."""


def notice(ended: Sequence[Ended]) -> None:
    """Follow each endpoint's row of failures, and tell what is news, in the present transaction."""
    changes = [change for one in ended for change in _delivery_news(one)]
    concerned = [one for one in ended if concerns_destination(one)]
    concerned.sort(key=lambda one: one.claim.destination_id)
    for destination_id, group in groupby(concerned, key=lambda one: one.claim.destination_id):
        changes += _destination_news(destination_id, list(group))
    # The fan-out locks endpoints, and a statement passes over a row that it changes itself.
    write(change for change in changes if isinstance(change, Update))
    told = [change for change in changes if not isinstance(change, Update)]
    for first in range(0, len(told), AT_ONCE):
        write(told[first : first + AT_ONCE])


# --- deliveries -----------------------------------------------------------------------------------


def _delivery_news(one: Ended) -> Iterable[Change]:
    claim = one.claim
    if claim.is_test or claim.event_type.startswith(NOTICES):
        return
    if one.is_success and claim.was_exhausted:
        yield from _tell_of_delivery(one, "delivery.recovered")
    elif one.is_exhausted:
        yield from _tell_of_delivery(one, "delivery.exhausted")


def _tell_of_delivery(one: Ended, event_type: str) -> Iterable[Change]:
    claim = one.claim
    telling = Telling(
        organisation_id=claim.organisation_id,
        subject_id=claim.id,
        sequence=claim.attempt_count + 1,
        event_type=event_type,
        occurred_at=one.ended_at,
        data={
            "delivery_id": str(claim.id),
            "endpoint_id": str(claim.destination_id) if claim.is_endpoint else None,
            "task_id": str(claim.subject_id),
            "event_type": claim.event_type,
            "sequence": claim.sequence,
            "attempts": claim.attempt_count + 1,
            "last_error": one.reason,
        },
        ids=("delivery_id",),
    )
    return announce(telling, except_destination=claim.destination_id)


# --- destinations ---------------------------------------------------------------------------------


def concerns_destination(one: Ended) -> bool:
    """A success of an endpoint that was well concerns nobody: nothing is read for it."""
    if one.result.outcome in OURS:
        return False
    if one.is_gone:
        return True
    return one.claim.is_endpoint and (one.claim.is_failing or not one.is_success)


def _destination_news(destination_id: UUID, ended: Sequence[Ended]) -> Iterator[Change]:
    found = Destination.objects.select_for_update(no_key=True).filter(id=destination_id).first()
    if found is None:
        return
    known = Streak(found.failing_since, found.failure_count, found.warned_hours)
    streak = known.after(one.seen() for one in ended)
    last = max(ended, key=attrgetter("ended_at"))
    values: dict[str, object] = {
        "failing_since": streak.failing_since,
        "failure_count": streak.failure_count,
        "warned_hours": streak.warned_hours,
    }
    about = About(found, streak, last.ended_at, last.reason or "")
    reason = _reason_to_disable(found, streak, ended)
    hours = streak.warning_at(last.ended_at)
    if reason:
        values |= {"status": DestinationStatus.DISABLED.value, "disabled_reason": reason}
        yield from about.told("endpoint.disabled", {"reason": reason})
    elif hours is not None and found.status == DestinationStatus.ENABLED:
        values |= {"warned_hours": hours}
        yield from about.told("endpoint.failing", {"hours": hours, "last_error": about.last_error})
    values["notice_count"] = found.notice_count + bool(reason or hours)
    yield Update(Destination, {"id": destination_id}, values)


def _reason_to_disable(found: Destination, streak: Streak, ended: Sequence[Ended]) -> str:
    if found.status == DestinationStatus.DISABLED:
        return ""
    if any(one.is_gone for one in ended):
        return "gone"
    if found.kind == "endpoint" and streak.has_lasted(max(one.ended_at for one in ended)):
        return "failing" if _failed_events(found, streak) >= DISABLED_AT_EVENTS else ""
    return ""


def _failed_events(found: Destination, streak: Streak) -> int:
    """How many events were attempted in vain in this streak; no more than are asked about."""
    failed = Attempt.objects.filter(
        delivery__destination_id=found.id, started_at__gte=streak.failing_since
    )
    return len(failed.values_list("delivery_id").distinct()[:DISABLED_AT_EVENTS])


@dataclass(frozen=True, slots=True)
class About:
    """An endpoint that is the subject of a notice."""

    endpoint: Destination
    streak: Streak
    at: datetime
    last_error: str

    def told(self, event_type: str, facts: dict[str, object]) -> Iterable[Change]:
        endpoint = self.endpoint
        if endpoint.kind != "endpoint":
            return []  # A callback's end is seen at its task's deliveries.
        since = self.streak.failing_since
        telling = Telling(
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
        return announce(telling, except_destination=endpoint.id)
