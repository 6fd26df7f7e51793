"""Define the transition table of a task: each command's source and target status, and its event.

`TRANSITIONS` is the whole table. One function of the service writes by it; the documentation and
every API read it. A new command needs a member of `Command`, its rows in `TRANSITIONS`, and its
text in `WHEN` (config/documents/lifecycle.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Status(StrEnum):
    DRAFT = "draft"  # not yet published by its author; leaves by `publish`
    CREATED = "created"  # valid contract, held while a gate is closed; leaves by `queue`, or by
    # `claim` where only claims hand it out
    QUEUED = "queued"  # waits for a worker; leaves by `match`, or by an agent's `claim`
    MATCHED = "matched"  # a worker is reserved; leaves by `offer`
    OFFERED = "offered"  # an offer is open; leaves by `accept`, or returns by `requeue`
    ACCEPTED = "accepted"  # a worker holds the run's lease; leaves by `start`
    STARTED = "started"  # the worker has started; leaves by `submit`
    SUBMITTED = "submitted"  # a valid output was submitted, and may be under review; leaves by
    # `verify`, `rework` or `fail`
    VERIFIED = "verified"  # checked, and approved if required; leaves by `complete`
    COMPLETED = "completed"  # handed off; leaves only by an operator's `reopen`
    FAILED = "failed"  # failed; leaves only by an operator's `reopen`
    CANCELLED = "cancelled"  # cancelled by its caller; final


class Command(StrEnum):
    DRAFT = "draft"
    PUBLISH = "publish"
    CREATE = "create"
    QUEUE = "queue"
    MATCH = "match"
    OFFER = "offer"
    REQUEUE = "requeue"  # every offer was declined, expired or withdrawn
    ACCEPT = "accept"
    CLAIM = "claim"  # an agent or an operator accepts the task without an offer
    START = "start"
    RELEASE = "release"  # the worker releases the run
    LAPSE = "lapse"  # the lease ended without a heartbeat
    RECALL = "recall"  # an operator takes the run back from its worker
    RETRY = "retry"  # the run failed and an attempt is left
    SUBMIT = "submit"
    REWORK = "rework"  # the reviewer requested rework and an attempt is left
    VERIFY = "verify"
    COMPLETE = "complete"
    CANCEL = "cancel"
    FAIL = "fail"
    REOPEN = "reopen"
    HOLD = "hold"  # a task that only claims hand out waits again, after its run or before a new one
    ESCALATE = "escalate"  # no worker accepted: an escalation step applies; no new status
    WARN = "warn"  # 80 % of an SLA clock's time has passed; no new status
    BREACH = "breach"  # an SLA clock ran out; no new status
    MESSAGE = "message"  # its caller or a worker wrote to the other; no new status
    UPDATE = "update"  # an operator changed its SLA, requirements or place; no new status
    REQUEST_REVIEW = "request_review"  # a policy asks for a person's verdict; no new status
    DECIDE_REVIEW = "decide_review"  # a person, or the policy, gave the verdict; no new status
    REPORT_REVIEW = "report_review"  # a review is overdue; no new status
    OPEN_APPEAL = "open_appeal"  # a worker appeals a reviewer's verdict; no new status
    DECIDE_APPEAL = "decide_appeal"  # a manager decided on the appeal; no new status


class EventType(StrEnum):
    DRAFTED = "task.drafted"  # internal: drafts are not reported
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
    MESSAGE = "task.message"
    UPDATED = "task.updated"
    HELD = "task.held"
    REVIEW_REQUESTED = "review.requested"
    REVIEW_DECIDED = "review.decided"
    REVIEW_OVERDUE = "review.overdue"
    APPEAL_OPENED = "appeal.opened"
    APPEAL_DECIDED = "appeal.decided"


@dataclass(frozen=True, slots=True)
class Transition:
    """Represent a row of the table. `source` is None for commands that create a task."""

    command: Command
    source: Status | None
    target: Status
    event: EventType


def _rows(command: Command, sources: str, target: Status, event: EventType) -> list[Transition]:
    return [Transition(command, Status(source), target, event) for source in sources.split()]


def _without_new_status(command: Command, event: EventType) -> list[Transition]:
    """Return rows for an event of an open, published task that does not change its status."""
    return [
        Transition(command, status, status, event)
        for status in Status
        if status not in (Status.DRAFT, Status.COMPLETED, Status.FAILED, Status.CANCELLED)
    ]


def _after_a_verdict(command: Command, event: EventType) -> list[Transition]:
    """Return rows for an event about a verdict: the task has moved on since, or has ended."""
    return [
        Transition(command, status, status, event)
        for status in Status
        if status is not Status.DRAFT
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
    *_rows(Command.CLAIM, "created queued", Status.ACCEPTED, EventType.ACCEPTED),
    *_rows(Command.START, "accepted", Status.STARTED, EventType.STARTED),
    *_rows(Command.RELEASE, "accepted started", Status.QUEUED, EventType.QUEUED),
    *_rows(Command.LAPSE, "accepted started", Status.QUEUED, EventType.QUEUED),
    *_rows(Command.RECALL, "accepted started", Status.QUEUED, EventType.QUEUED),
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
    *_rows(
        Command.HOLD,
        "accepted started submitted completed failed",
        Status.CREATED,
        EventType.HELD,
    ),
    *(
        Transition(Command.ESCALATE, status, status, EventType.ESCALATED)
        for status in (Status.QUEUED, Status.MATCHED, Status.OFFERED)
    ),
    *_without_new_status(Command.WARN, EventType.SLA_AT_RISK),
    *_without_new_status(Command.BREACH, EventType.SLA_BREACHED),
    *_without_new_status(Command.MESSAGE, EventType.MESSAGE),
    *_without_new_status(Command.UPDATE, EventType.UPDATED),
    *_rows(Command.REQUEST_REVIEW, "submitted", Status.SUBMITTED, EventType.REVIEW_REQUESTED),
    *_rows(Command.DECIDE_REVIEW, "submitted", Status.SUBMITTED, EventType.REVIEW_DECIDED),
    *_rows(Command.REPORT_REVIEW, "submitted", Status.SUBMITTED, EventType.REVIEW_OVERDUE),
    *_after_a_verdict(Command.OPEN_APPEAL, EventType.APPEAL_OPENED),
    *_after_a_verdict(Command.DECIDE_APPEAL, EventType.APPEAL_DECIDED),
)

CLOSED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
"""The task has ended: no SLA clock fires, and no worker holds the task."""

MATCHING = frozenset({Status.QUEUED, Status.MATCHED, Status.OFFERED})
"""The task waits for a worker to accept it."""

HELD = frozenset({Status.ACCEPTED, Status.STARTED})
"""A worker holds the lease of the task's run."""

OUTPUT_SHOWN = frozenset({Status.VERIFIED, Status.COMPLETED})
"""The caller can read the output."""

BY_COMMAND: Mapping[tuple[Command, Status | None], Transition] = MappingProxyType(
    {(row.command, row.source): row for row in TRANSITIONS}
)


def find(command: Command, status: Status | None) -> Transition | None:
    """Return the row for `command` on a task in `status`; None if the table has none."""
    return BY_COMMAND.get((command, status))


def allowed(status: Status) -> list[Command]:
    """Return the commands that are allowed in `status`, in the order of the table."""
    return [row.command for row in TRANSITIONS if row.source is status]


def _assert_complete() -> None:
    assert len(BY_COMMAND) == len(TRANSITIONS), "a command has two rows for one status"
    assert {row.command for row in TRANSITIONS} == set(Command), "a command has no row"
    assert {row.event for row in TRANSITIONS} == set(EventType), "an event is never produced"
    exits = {row.source for row in TRANSITIONS if row.source is not row.target}
    assert exits - {None} == set(Status) - {Status.CANCELLED}, "a status has no way out"
    assert {row.target for row in TRANSITIONS} == set(Status), "a status cannot be reached"


_assert_complete()
