"""Describe rows beside an event, for its transition to write."""

from apps.base.rows import Change, insert
from apps.events.models import Event, EventNote


def event_note(event: Event) -> list[Change]:
    """Return the row of a new event's note; none without one."""
    if not event.note:
        return []
    row = insert(
        EventNote,
        organisation_id=event.organisation_id,
        task_id=event.task_id,
        sequence=event.sequence,
        actor_id=event.actor_id,
        note=event.note,
    )
    return [row]
