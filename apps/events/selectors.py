"""Reading the log: one task's, or an organisation's as a feed."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from apps.events.models import Event
from biolayer import chain


def of_task(*, task_id: UUID) -> QuerySet[Event]:
    """The task's events from its first on."""
    return Event.objects.filter(task_id=task_id).order_by("sequence")


def facts(event: Event) -> dict[str, Any]:
    """The part of an event that its hash covers, as callers see it."""
    return {
        "task_id": str(event.task_id),
        "sequence": event.sequence,
        "type": str(event.type),
        "timestamp": chain.format_time(event.occurred_at),
        "status": str(event.status),
        "previous_status": event.previous_status or None,
        "actor": {"kind": event.actor_kind, "id": event.actor_id},
        "data": event.data,
    }


def shown(event: Event) -> dict[str, Any]:
    """An event with its link in the chain, as the API lists it."""
    return {
        **facts(event),
        "prev_hash": bytes(event.prev_hash).hex(),
        "hash": bytes(event.hash).hex(),
    }


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the feed: the writing transaction, then the event."""

    xid: int
    id: int

    def __str__(self) -> str:
        return f"{self.xid}-{self.id}"

    @staticmethod
    def of(event: Event) -> "Position":
        return Position(event.xid, event.id)

    @staticmethod
    def parse(text: str) -> "Position | None":
        xid, _, event_id = text.partition("-")
        if not (text.isascii() and xid.isdigit() and event_id.isdigit() and len(text) < 40):
            return None
        position = Position(int(xid), int(event_id))
        return position if max(position.xid, position.id) < 2**63 else None


def latest_position() -> Position:
    """Where a reader begins who wants only what comes from now on."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        (xmin,) = cursor.fetchone()
    return Position(xmin, 0)


def feed(*, organisation_id: UUID, after: Position) -> QuerySet[Event]:
    """The organisation's events after a position, complete under concurrency.

    An event is shown once its transaction is older than the oldest still running: by then nothing
    can appear before it any more.
    """
    settled = "xid < pg_snapshot_xmin(pg_current_snapshot())"
    beyond = "(xid, id) > (%s::text::xid8, %s)"
    return Event.objects.filter(organisation_id=organisation_id).extra(  # noqa: S610
        where=[settled, beyond], params=[str(after.xid), after.id], order_by=["xid", "id"]
    )
