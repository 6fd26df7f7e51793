"""Read what happened to tasks: the log of `/api`, and the events of the kernel for other APIs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.events.models import Event
from apps.operations.models import LogEntry
from apps.operations.selectors import kernel_events
from apps.tasks.models import Task


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


def latest_log(task: Task, limit: int, *, run_id: UUID | None = None) -> list[LogView]:
    """Return the latest events of a task, or of one of its runs, the newest first."""
    if task.is_claim_only:
        entries = LogEntry.objects.filter(task_id=task.id).order_by("-sequence")
        of_run = entries if run_id is None else entries.filter(run_id=run_id)
        return [_logged(entry) for entry in of_run[:limit]]
    events = Event.objects.filter(task_id=task.id).order_by("-sequence")
    told = events if run_id is None else events.filter(data__run_id=str(run_id))
    return [_projected(event) for event in told[:limit]]


def log_after(
    tasks: Sequence[Task], after: int, limit: int, *, until: int | None = None
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
    return sorted(found, key=lambda one: one.sequence)[:limit]


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
