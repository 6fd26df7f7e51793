"""Read one task's log."""

from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from apps.events.models import Event, EventNote
from biolayer.lifecycle import EventType
from biolayer.times import format_time


def task_events(*, task_id: UUID) -> QuerySet[Event]:
    """Return the task's events with their notes, the first one first."""
    notes = EventNote.objects.filter(task_id=OuterRef("task_id"), sequence=OuterRef("sequence"))
    events = Event.objects.filter(task_id=task_id).order_by("sequence")
    note = Subquery(notes.values("note"))
    return events.annotate(note=note)  # type: ignore[no-redef] # It sets the plain attribute.


def claims(*, task_id: UUID, run_id: UUID) -> list[UUID]:
    """Return the workers that a run of the task was given to, in order: one for each epoch."""
    rows = Event.objects.filter(task_id=task_id, type=EventType.ACCEPTED.value)
    data = rows.order_by("sequence").values_list("data", flat=True)
    return [UUID(facts["worker_id"]) for facts in data if facts["run_id"] == str(run_id)]


def was_given(*, organisation_id: UUID, task_id: UUID, worker_id: UUID) -> bool:
    """Return whether a run of the organisation's task was given to the worker, now or before."""
    rows = Event.objects.filter(task_id=task_id, type=EventType.ACCEPTED.value)
    return rows.filter(
        organisation_id=organisation_id, data__contains={"worker_id": str(worker_id)}
    ).exists()


def shown_data(event: Event) -> dict[str, Any]:
    """Return the facts of an event, with a person's words as `reason`; empty once purged."""
    if "reason_hash" not in event.data:
        data: dict[str, Any] = event.data
        return data
    return {**event.data, "reason": event.note or ""}


def facts(event: Event) -> dict[str, Any]:
    """Return the part of an event that its hash covers, as the API shows it."""
    return {
        "task_id": str(event.task_id),
        "sequence": event.sequence,
        "type": str(event.type),
        "timestamp": format_time(event.occurred_at),
        "status": str(event.status),
        "previous_status": event.previous_status or None,
        "actor": {"kind": event.actor_kind, "id": event.actor_id},
        "data": event.data,
    }
