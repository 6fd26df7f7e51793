"""Apply the transition table: the only module that writes a task's status.

`apply` looks the command up in `biolayer.lifecycle`, moves the task, appends one event to its
chain, collects from the reactions what else is due, and sends all of it as one statement.
PostgreSQL enforces it: a deferred foreign key requires an event with the task's version and status
for every committed row.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.accounts.principal import Principal
from apps.base import rows
from apps.base.wake import wake
from apps.events.changes import event_note
from apps.events.models import Event
from apps.events.services import next_event
from apps.tasks.models import Standing, Task
from biolayer import chain, lifecycle
from biolayer.contract import TaskContract
from biolayer.errors import IllegalTransition
from biolayer.lifecycle import CLOSED, Command, EventType, Status


@dataclass(frozen=True, slots=True)
class AppliedTransition:
    """Hold what a reaction gets: the task as it is now, and the event of the transition."""

    task: Task
    event: Event
    # Only for a task just created: the contract, with the secrets that the row does not store.
    contract: TaskContract | None = None
    # Where the task stood before; None for a new one.
    before: Standing | None = None
    # The further rows of the caller.
    also: Sequence[rows.Change] = ()


# Returns the rows that a transition makes due. It reads and writes nothing itself.
Reaction = Callable[[AppliedTransition], Iterable[rows.Change]]

_reactions: list[tuple[frozenset[str], Reaction]] = []
_wakes: list[tuple[frozenset[str], str]] = []

# The column that holds when a task last entered a status.
STAMPS = {
    Status.DRAFT: "created_at",
    Status.CREATED: "created_at",
    Status.QUEUED: "queued_at",
    Status.ACCEPTED: "accepted_at",
    Status.STARTED: "started_at",
    Status.SUBMITTED: "submitted_at",
    Status.VERIFIED: "verified_at",
}


def react(events: Iterable[EventType], reaction: Reaction) -> None:
    """Register `reaction` for each of `events`. Called by config/wiring.py only."""
    _reactions.append((frozenset(event.value for event in events), reaction))


def wake_on(events: Iterable[EventType], drain: str) -> None:
    """Wake `drain` after each commit of one of `events`. Called by config/wiring.py only."""
    _wakes.append((frozenset(event.value for event in events), drain))


def apply(
    task: Task,
    command: Command,
    *,
    actor: Principal,
    at: datetime,
    data: Mapping[str, Any] | None = None,
    reason: str | None = None,
    columns: Mapping[str, Any] | None = None,
    also: Iterable[rows.Change] = (),
    contract: TaskContract | None = None,
    guard: str = "true",
) -> Event:
    """Move a locked (or new) task by `command`, and write everything that follows from it.

    `columns` are further columns of the task to set, `also` further rows of the same transition,
    `data` the event's facts, `reason` a person's words about it, `guard` that of a new task's
    `rows.Insert`. Raise `IllegalTransition` where the transition table has no row, having written
    nothing.
    """
    source = Status(task.status) if task.status else None
    row = lifecycle.find(command, source)
    if row is None:
        status = source or Status.DRAFT
        raise IllegalTransition(command, status, lifecycle.allowed(status))
    event = next_event(
        organisation_id=task.organisation_id,
        task_id=task.id,
        sequence=(task.version or 0) + 1,
        event_type=row.event,
        status=row.target,
        previous_status=source or "",
        actor=actor,
        at=at,
        data={**(data or {}), **({"reason": ""} if reason == "" else {})},
        note=reason or "",
        prev_hash=bytes(task.chain_hash) if source else chain.GENESIS,
    )
    before = task.standing if source else None
    values = _move(task, row, event, columns or {})
    more = tuple(also)
    applied = AppliedTransition(task, event, contract, before, more)
    moved = [_task_row(task, source, values, guard), rows.Insert(event), *event_note(event)]
    rows.write([*moved, *more, *_due(applied)])
    for events, drain in _wakes:
        if event.type in events:
            wake(drain)
    return event


def _move(
    task: Task, row: lifecycle.Transition, event: Event, columns: Mapping[str, Any]
) -> dict[str, Any]:
    """Set the task's columns. Return those that were set."""
    values: dict[str, Any] = {"version": event.sequence, "chain_hash": event.hash}
    if row.target is not row.source:
        values |= {"status": row.target.value, "changed_at": event.occurred_at}
        values |= {"closed_at": event.occurred_at if row.target in CLOSED else None}
        if row.target in STAMPS and row.command is not Command.HOLD:
            values[STAMPS[row.target]] = event.occurred_at
        if row.target is Status.QUEUED:
            values["waits_since"] = _waits_since(task, row.source, event.occurred_at)
    values |= columns
    for name, value in values.items():
        setattr(task, name, value)
    return values


def _waits_since(task: Task, source: Status | None, at: datetime) -> datetime:
    """Return from when escalation counts for a task that is queued at `at`.

    The escalation clock does not advance while a worker holds the task.
    """
    if task.waits_since is None or source in CLOSED:
        return at
    if source in (Status.MATCHED, Status.OFFERED) or task.accepted_at is None:
        return task.waits_since
    return task.waits_since + (at - task.accepted_at)


def _task_row(
    task: Task, source: Status | None, values: Mapping[str, Any], guard: str
) -> rows.Change:
    if source is None:
        return rows.Insert(task, guard)
    return rows.Update(Task, {"id": task.id}, values)


def _due(applied: AppliedTransition) -> Iterable[rows.Change]:
    for events, reaction in _reactions:
        if applied.event.type in events:
            yield from reaction(applied)
