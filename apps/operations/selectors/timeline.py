"""Read what happened to tasks: the log of `/api`, and the events of the kernel for other APIs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.events.models import Event
from apps.operations.log import LogType
from apps.operations.models import LogEntry
from apps.operations.selectors import kernel_events
from apps.operations.selectors.views import visible_names
from apps.tasks.models import Run, Task
from biolayer.lifecycle import EventType


@dataclass(frozen=True, slots=True)
class LogView:
    """Hold one event of a task."""

    sequence: int
    task: UUID
    run_id: UUID | None
    type: str
    actor: tuple[str, str]
    origin: tuple[str, str]
    payload: Any
    at: datetime

    @property
    def id(self) -> str:
        return f"evt-{self.sequence}"


NAMED = ("parent_task_id", "child_task_id", "depends_on_task_id", "propagated_from_task_id")
"""What names another task in the payload of an entry, by its id on the wire."""


def latest_log(
    task: Task, limit: int, *, actor: Principal, run_id: UUID | None = None
) -> list[LogView]:
    """Return the latest events of a task, or of one of its runs, the newest first."""
    if task.is_claim_only:
        entries = LogEntry.objects.filter(task_id=task.id).order_by("-sequence")
        of_run = entries if run_id is None else entries.filter(run_id=run_id)
        return _without_hidden([_logged(entry) for entry in of_run[:limit]], actor)
    events = Event.objects.filter(task_id=task.id).order_by("-sequence")
    told = events if run_id is None else events.filter(data__run_id=str(run_id))
    return [_projected(event) for event in told[:limit]]


def completing_actor(run: Run) -> tuple[str, str] | None:
    """Return kind and reference of who completed a run; None where no event tells."""
    entries = LogEntry.objects.filter(task_id=run.task_id, type=LogType.RUN_COMPLETED.value)
    entry = entries.filter(run_id=run.id).order_by("sequence").last()
    if entry is not None:
        return entry.actor_kind, entry.actor_ref
    events = Event.objects.filter(task_id=run.task_id, type=EventType.SUBMITTED.value)
    event = events.filter(data__run_id=str(run.id)).order_by("sequence").last()
    return None if event is None else kernel_events.actor_of(event)


def log_after(
    tasks: Sequence[Task], after: int, limit: int, *, actor: Principal, until: int | None = None
) -> list[LogView]:
    """Return the first events of tasks after a number, up to another one (inclusive)."""
    own = [task.id for task in tasks if task.is_claim_only]
    entries = LogEntry.objects.filter(task_id__in=own, sequence__gt=after).order_by("sequence")
    others = [task.id for task in tasks if not task.is_claim_only]
    events = Event.objects.filter(task_id__in=others, id__gt=after).order_by("id")
    if until is not None:
        entries, events = entries.filter(sequence__lte=until), events.filter(id__lte=until)
    found = [_logged(entry) for entry in entries[:limit]] if own else []
    found += [_projected(event) for event in events[:limit]] if others else []
    return _without_hidden(sorted(found, key=lambda one: one.sequence)[:limit], actor)


def _without_hidden(entries: list[LogView], actor: Principal) -> list[LogView]:
    """Return entries without the ids of tasks that the actor may not see."""
    if actor.pool_ids is None:
        return entries
    named = {name for entry in entries for name in _named(entry.payload).values()}
    hidden = named - visible_names(named, actor)
    return [_without(entry, hidden) for entry in entries] if hidden else entries


def _named(payload: Any) -> dict[str, str]:
    if not isinstance(payload, dict):
        return {}
    return {key: payload[key] for key in NAMED if isinstance(payload.get(key), str)}


def _without(entry: LogView, hidden: set[str]) -> LogView:
    gone = {key for key, name in _named(entry.payload).items() if name in hidden}
    if not gone:
        return entry
    shown = {key: value for key, value in entry.payload.items() if key not in gone}
    if "child_task_id" in gone:
        shown.pop("child_workspace_id", None)
    return replace(entry, payload=shown)


def _logged(entry: LogEntry) -> LogView:
    return LogView(
        sequence=entry.sequence,
        task=entry.task_id,
        run_id=entry.run_id,
        type=entry.type,
        actor=(entry.actor_kind, entry.actor_ref),
        origin=(entry.origin_kind, entry.origin_ref),
        payload=entry.payload,
        at=entry.occurred_at,
    )


def _projected(event: Event) -> LogView:
    return LogView(
        sequence=event.id,
        task=event.task_id,
        run_id=kernel_events.run_id_of(event),
        type=kernel_events.type_of(event),
        actor=kernel_events.actor_of(event),
        origin=kernel_events.origin_of(event),
        payload=kernel_events.payload_of(event),
        at=event.occurred_at,
    )
