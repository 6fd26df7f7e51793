"""Tell the events of a task, and what the audit log has of it, in words."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.utils import formats
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.base.local_times import local_time
from apps.base.wording import humanised
from apps.events.selectors import shown_data
from biolayer.lifecycle import EventType

Text = str | Promise
Names = Mapping[tuple[str, str], str]

TITLES: dict[str, Text] = {
    EventType.DRAFTED.value: _("Drafted"),
    EventType.CREATED.value: _("Created"),
    EventType.QUEUED.value: _("Queued"),
    EventType.MATCHED.value: _("Matched to %(worker)s"),
    EventType.OFFERED.value: _("Offered to %(worker)s"),
    EventType.ACCEPTED.value: _("Accepted by %(worker)s"),
    EventType.STARTED.value: _("Started by %(worker)s"),
    EventType.SUBMITTED.value: _("Submitted by %(worker)s"),
    EventType.VERIFIED.value: _("Verified"),
    EventType.COMPLETED.value: _("Completed"),
    EventType.FAILED.value: _("Failed"),
    EventType.CANCELLED.value: _("Cancelled"),
    EventType.SLA_BREACHED.value: _("SLA breached"),
    EventType.SLA_AT_RISK.value: _("SLA at risk"),
    EventType.ESCALATED.value: _("Escalated"),
    EventType.MESSAGE.value: _("Message written"),
    EventType.UPDATED.value: _("Changed by an operator"),
    EventType.HELD.value: _("Waits for a claim again"),
    EventType.REVIEW_REQUESTED.value: _("Review requested"),
    EventType.REVIEW_DECIDED.value: _("Reviewed"),
    EventType.REVIEW_OVERDUE.value: _("Review overdue"),
    EventType.APPEAL_OPENED.value: _("Verdict appealed by %(worker)s"),
    EventType.APPEAL_DECIDED.value: _("Appeal decided"),
}
VERDICTS: dict[str, Text] = {
    "approved": _("Approved"),
    "auto_approved": _("Approved by its policy: no one had decided"),
    "rework": _("Sent back for rework"),
    "rejected": _("Rejected"),
}
DECISIONS: dict[str, Text] = {
    "upheld": _("Appeal refused: the verdict stands"),
    "overturned": _("Appeal granted: the verdict was overturned"),
}
# Why a task is in the queue again, by the status that it had.
AGAIN: dict[str, Text] = {
    "created": _("Queued"),
    "offered": _("Queued again: its offers ended"),
    "accepted": _("Queued again: taken from %(worker)s"),
    "started": _("Queued again: taken from %(worker)s"),
    "submitted": _("Queued again for rework"),
    "completed": _("Reopened"),
    "failed": _("Reopened"),
}
REASONS: dict[str, Text] = {
    "offer_declined": _("the offer was declined"),
    "offer_expired": _("the offer expired"),
    "lease_ended": _("the lease ended"),
    "run_failed": _("the run failed"),
    "attempts_exhausted": _("all attempts were used"),
    "no_worker": _("there was no worker"),
    "rejected": _("a reviewer rejected the output"),
    "reworks_exhausted": _("it was sent back as often as its policy allows"),
    "dependency_failed": _("a task that it waited for did not complete"),
}
KINDS: dict[str, Text] = {
    "system": _("the service"),
    "member": _("a member"),
    "worker": _("a worker"),
    "api_key": _("an API key"),
    "oauth_application": _("an application"),
    "oauth_member": _("an application for a member"),
}
FACTS: dict[str, Text] = {
    "attempt": _("attempt"),
    "expires_at": _("expires"),
    "due_at": _("due"),
    "at_risk_at": _("at risk from"),
    "step": _("step"),
    "code": _("code"),
    "seconds": _("seconds"),
    "changes": _("changes"),
    "auto_approve_at": _("approved by itself at"),
    "round": _("review"),
    "rating": _("rating"),
    "cause": _("because of"),
}
CLOCKS: dict[str, Text] = {"deadline": _("deadline"), "target_latency": _("target latency")}
# Told by the title, by the times of the page, or of no use to people.
HIDDEN = {
    "run_id", "worker_id", "offer_id", "offers", "reason", "reason_hash", "message_id", "changes",
    "boost_seconds", "detected_at", "clock", "breach", "author_kind", "review_id", "verdict",
    "next_status", "appeal_id", "decision",
}  # fmt: skip
GOOD = (EventType.COMPLETED.value, EventType.VERIFIED.value)
SOON = (EventType.SLA_AT_RISK.value, EventType.REVIEW_OVERDUE.value)
BAD = (EventType.FAILED.value, EventType.SLA_BREACHED.value)


class Entry(NamedTuple):
    """Hold an event in words; `tone` is `good`, `bad`, `soon`, or empty."""

    sequence: int
    kind: str
    at: datetime
    title: str
    reason: str
    details: Sequence[tuple[Text, str]]
    who: str
    tone: str


class AuditEntry(NamedTuple):
    """Hold a row of the audit log in words."""

    at: datetime
    action: str
    who: str
    address: str
    details: Sequence[tuple[Text, str]]


def entries(log: Iterable[Any], names: Names) -> list[Entry]:
    """Return events in words."""
    return [_entry(event, names) for event in log]


def audit_entries(rows: Iterable[Any], names: Names) -> list[AuditEntry]:
    """Return rows of the audit log in words."""
    return [
        AuditEntry(
            row.occurred_at,
            humanised(row.action.replace(".", " ")),
            who_of(row.actor_kind, row.actor_id, names),
            row.address,
            _plain(row.data),
        )
        for row in rows
    ]


def who_of(kind: str, id_: str, names: Names) -> str:
    """Return the name of an actor, else its kind and id."""
    name = names.get((kind, id_))
    if name:
        return name
    return f"{KINDS.get(kind, kind)} ({humanised(id_) if kind == 'system' else id_})"


def _entry(event: Any, names: Names) -> Entry:
    data = shown_data(event)
    worker_id = data.get("worker_id")
    worker = gettext("a worker")
    if worker_id:
        worker = names.get(("worker", str(worker_id))) or worker
    title = TITLES.get(event.type, event.type)
    if event.type == EventType.QUEUED.value:
        title = AGAIN.get(event.previous_status, title)
    elif event.type == EventType.REVIEW_DECIDED.value:
        title = VERDICTS.get(data["verdict"], title)
    elif event.type == EventType.APPEAL_DECIDED.value:
        title = DECISIONS.get(data["decision"], title)
    reason = str(data.get("reason") or "")
    # Told by the title already.
    is_worker = event.actor_kind == "worker" and event.actor_id == str(worker_id)
    return Entry(
        event.sequence,
        event.type,
        event.occurred_at,
        str(title) % {"worker": worker},
        str(REASONS.get(reason, reason)),
        _details(data),
        "" if is_worker else who_of(event.actor_kind, event.actor_id, names),
        _tone(event.type),
    )


def _tone(kind: str) -> str:
    if kind in SOON:
        return "soon"
    return "good" if kind in GOOD else "bad" if kind in BAD else ""


def _details(data: Mapping[str, Any]) -> list[tuple[Text, str]]:
    """Return the facts of an event that its title does not tell."""
    found: list[tuple[Text, str]] = []
    clock = data.get("clock") or data.get("breach")
    if clock:
        found.append((_("clock"), str(CLOCKS.get(clock, clock))))
    if len(data.get("offers") or ()) > 1:
        found.append((_("workers at once"), str(len(data["offers"]))))
    if seconds := data.get("boost_seconds"):
        found.append((_("ahead by seconds"), str(seconds)))
    for pointer, value in (data.get("changes") or {}).items():
        found.append((humanised(pointer.rpartition("/")[2]), _text(value)))
    return found + _plain({key: data[key] for key in data if key not in HIDDEN})


def _plain(data: Mapping[str, Any]) -> list[tuple[Text, str]]:
    return [
        (FACTS.get(key) or humanised(key), _text(_moment(value) if key.endswith("_at") else value))
        for key, value in data.items()
        if value not in (None, "", [], {})
    ]


def _moment(value: Any) -> Any:
    try:
        local = local_time(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return value
    return f"{formats.date_format(local, 'SHORT_DATE_FORMAT')} {local:%H:%M:%S}"


def _text(value: Any) -> str:
    if value is None or value in ([], {}):
        return gettext("none")
    if isinstance(value, dict):
        return ", ".join(f"{key}: {one}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
