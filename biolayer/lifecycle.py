"""The law of a task: which command may take it from which status to which, and what happened then.

`TRANSITIONS` is the whole of it. One function of the service writes by it, and the documentation,
the client and every API read it. Whoever adds a command adds its rows here, and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Status(StrEnum):
    DRAFT = "draft"  # kept aside by its author; leaves by `publish`
    CREATED = "created"  # accepted contract, held while a gate is closed; leaves by `queue`
    QUEUED = "queued"  # waits for a worker; leaves by `match`, or by an agent's `claim`
    MATCHED = "matched"  # a worker was found and reserved; leaves by `offer`
    OFFERED = "offered"  # an offer is out; leaves by `accept`, or back by `requeue`
    ACCEPTED = "accepted"  # a worker holds the run's lease; leaves by `start`
    STARTED = "started"  # the worker is at it; leaves by `submit`
    SUBMITTED = "submitted"  # an output that fits the schema is in; leaves by `verify` or `rework`
    VERIFIED = "verified"  # checked, and approved where that is asked for; leaves by `complete`
    COMPLETED = "completed"  # handed off; only an operator's `reopen` leads out
    FAILED = "failed"  # given up; only an operator's `reopen` leads out
    CANCELLED = "cancelled"  # called off by its caller; final


class Command(StrEnum):
    DRAFT = "draft"
    PUBLISH = "publish"
    CREATE = "create"
    QUEUE = "queue"
    MATCH = "match"
    OFFER = "offer"
    REQUEUE = "requeue"  # every offer was declined, expired or withdrawn
    ACCEPT = "accept"
    CLAIM = "claim"  # an agent takes queued work without an offer
    START = "start"
    RELEASE = "release"  # the worker gives the run back
    LAPSE = "lapse"  # the lease ended without a sign of life
    RETRY = "retry"  # the run failed and an attempt is left
    SUBMIT = "submit"
    REWORK = "rework"  # the reviewer sent it back and an attempt is left
    VERIFY = "verify"
    COMPLETE = "complete"
    CANCEL = "cancel"
    FAIL = "fail"
    REOPEN = "reopen"
    ESCALATE = "escalate"  # nobody takes it: less is asked for, or more are asked; the status stays
    WARN = "warn"  # most of an SLA clock's time has passed; the status stays
    BREACH = "breach"  # an SLA clock ran out; the status stays


class EventType(StrEnum):
    DRAFTED = "task.drafted"  # internal: a draft is not yet announced to anyone
    CREATED = "task.created"
    QUEUED = "task.queued"
    MATCHED = "task.matched"
    OFFERED = "task.offered"
    ACCEPTED = "task.accepted"
    STARTED = "task.started"
    SUBMITTED = "task.submitted"
    VERIFIED = "task.verified"
    COMPLETED = "task.completed"
    FAILED = "task.failed"
    CANCELLED = "task.cancelled"
    SLA_BREACHED = "task.sla_breached"
    SLA_AT_RISK = "task.sla_at_risk"
    ESCALATED = "task.escalated"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the law. `source` is None where the command makes the task."""

    command: Command
    source: Status | None
    target: Status
    event: EventType


def _rows(command: Command, sources: str, target: Status, event: EventType) -> list[Transition]:
    return [Transition(command, Status(source), target, event) for source in sources.split()]


def _remarks(command: Command, event: EventType) -> list[Transition]:
    """Rows for what is noted of a task that is announced and open: the status stays."""
    return [
        Transition(command, status, status, event)
        for status in Status
        if status not in (Status.DRAFT, Status.COMPLETED, Status.FAILED, Status.CANCELLED)
    ]


TRANSITIONS: tuple[Transition, ...] = (
    Transition(Command.DRAFT, None, Status.DRAFT, EventType.DRAFTED),
    Transition(Command.CREATE, None, Status.CREATED, EventType.CREATED),
    *_rows(Command.PUBLISH, "draft", Status.CREATED, EventType.CREATED),
    *_rows(Command.QUEUE, "created", Status.QUEUED, EventType.QUEUED),
    *_rows(Command.MATCH, "queued", Status.MATCHED, EventType.MATCHED),
    *_rows(Command.OFFER, "matched", Status.OFFERED, EventType.OFFERED),
    *_rows(Command.REQUEUE, "offered", Status.QUEUED, EventType.QUEUED),
    *_rows(Command.ACCEPT, "offered", Status.ACCEPTED, EventType.ACCEPTED),
    *_rows(Command.CLAIM, "queued", Status.ACCEPTED, EventType.ACCEPTED),
    *_rows(Command.START, "accepted", Status.STARTED, EventType.STARTED),
    *_rows(Command.RELEASE, "accepted started", Status.QUEUED, EventType.QUEUED),
    *_rows(Command.LAPSE, "accepted started", Status.QUEUED, EventType.QUEUED),
    *_rows(Command.RETRY, "accepted started", Status.QUEUED, EventType.QUEUED),
    *_rows(Command.SUBMIT, "started", Status.SUBMITTED, EventType.SUBMITTED),
    *_rows(Command.REWORK, "submitted", Status.QUEUED, EventType.QUEUED),
    *_rows(Command.VERIFY, "submitted", Status.VERIFIED, EventType.VERIFIED),
    *_rows(Command.COMPLETE, "verified", Status.COMPLETED, EventType.COMPLETED),
    *_rows(
        Command.CANCEL,
        "draft created queued matched offered accepted started",
        Status.CANCELLED,
        EventType.CANCELLED,
    ),
    *_rows(
        Command.FAIL,
        "created queued matched offered accepted started submitted verified",
        Status.FAILED,
        EventType.FAILED,
    ),
    *_rows(Command.REOPEN, "completed failed", Status.QUEUED, EventType.QUEUED),
    *(
        Transition(Command.ESCALATE, status, status, EventType.ESCALATED)
        for status in (Status.QUEUED, Status.MATCHED, Status.OFFERED)
    ),
    *_remarks(Command.WARN, EventType.SLA_AT_RISK),
    *_remarks(Command.BREACH, EventType.SLA_BREACHED),
)

CLOSED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
"""Where a caller's story ends: no SLA clock fires, no worker holds the task."""

HELD = frozenset({Status.ACCEPTED, Status.STARTED})
"""A worker holds the run's lease."""

OUTPUT_SHOWN = frozenset({Status.VERIFIED, Status.COMPLETED})
"""The output is shown to the caller only once it has been verified."""

BY_COMMAND: Mapping[tuple[Command, Status | None], Transition] = MappingProxyType(
    {(row.command, row.source): row for row in TRANSITIONS}
)


def find(command: Command, status: Status | None) -> Transition | None:
    """The law's row for `command` on a task in `status`, or None where the law refuses it."""
    return BY_COMMAND.get((command, status))


def allowed(status: Status) -> list[Command]:
    """The commands that a task in `status` can still take, in the law's order."""
    return [row.command for row in TRANSITIONS if row.source is status]


def _assert_complete() -> None:
    assert len(BY_COMMAND) == len(TRANSITIONS), "a command has two rows for one status"
    assert {row.command for row in TRANSITIONS} == set(Command), "a command has no row"
    assert {row.event for row in TRANSITIONS} == set(EventType), "an event is never produced"
    exits = {row.source for row in TRANSITIONS if row.source is not row.target}
    assert exits - {None} == set(Status) - {Status.CANCELLED}, "a status has no way out"
    assert {row.target for row in TRANSITIONS} == set(Status), "a status cannot be reached"


_assert_complete()
