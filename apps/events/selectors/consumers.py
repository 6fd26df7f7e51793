"""Read named consumers, their positions and their lags."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.events.models import EventConsumer, EventConsumerQuerySet
from apps.events.selectors.feed import Position, types_for
from biolayer.errors import NotFound


def consumers(*, actor: Principal) -> EventConsumerQuerySet:
    """Return the organisation's consumers, by name. Raise `ScopeMissing`.

    An actor restricted to pools sees the consumers that were created for some of these pools only.
    """
    actor.require(Scope.TASKS_READ)
    rows = EventConsumer.objects.filter(organisation_id=actor.organisation_id)
    if actor.pool_ids is not None:
        rows = rows.filter(pool_ids__contained_by=sorted(actor.pool_ids))
    return rows.order_by("name")


def consumers_named(*, actor: Principal, name: str) -> EventConsumerQuerySet:
    """Return the consumer of that name, or no row. Raise `ScopeMissing`."""
    rows = consumers(actor=actor)
    # A NUL is an error of the database, and in no name.
    return rows.none() if "\0" in name else rows.filter(name=name)


def consumer(*, actor: Principal, name: str) -> EventConsumer:
    """Return the consumer of that name. Raise `NotFound`, `ScopeMissing`."""
    row = consumers_named(actor=actor, name=name).first()
    if row is None:
        raise NotFound("event consumer")
    return row


def position_of(consumer: EventConsumer) -> Position:
    """Return the consumer's position."""
    return Position(consumer.xid, consumer.event_id)


# How many events are counted for each consumer: a list shows up to 100 of them.
MAX_COUNTED = 1_000

LAGS = f"""
SELECT listed.id, behind.matching, behind.scanned < {MAX_COUNTED}
FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::bigint[], %s::text[])
    AS listed (id, organisation_id, xid, event_id, types)
CROSS JOIN LATERAL (
    SELECT count(*) AS scanned,
        count(*) FILTER (WHERE type = ANY(string_to_array(listed.types, ','))) AS matching
    FROM (
        SELECT type FROM events_event
        WHERE events_event.organisation_id = listed.organisation_id
          AND (events_event.xid, events_event.id) > (listed.xid::text::xid8, listed.event_id)
          AND events_event.xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY events_event.xid, events_event.id LIMIT {MAX_COUNTED}
    ) AS next_events
) AS behind
"""


@dataclass(frozen=True, slots=True)
class Lag:
    """Hold how many matching events follow a consumer's position, of the next `MAX_COUNTED`."""

    events: int
    is_exact: bool


PENDING = f"""
SELECT task_id, type FROM events_event
WHERE organisation_id = %s AND (xid, id) > (%s::text::xid8, %s)
    AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xid, id LIMIT {MAX_COUNTED}
"""


def pending_events(consumer: EventConsumer) -> Sequence[tuple[UUID, str]]:
    """Return (task id, type) of the next `MAX_COUNTED` events after a consumer's position.

    For consumers that may not see all of them, so that the caller filters.
    """
    with connection.cursor() as cursor:
        position: list[Any] = [consumer.organisation_id, str(consumer.xid), consumer.event_id]
        cursor.execute(PENDING, position)
        return list(cursor.fetchall())


def consumer_lags(consumers: Sequence[EventConsumer]) -> dict[UUID, Lag]:
    """Return consumer id -> lag."""
    columns = (
        [consumer.id for consumer in consumers],
        [consumer.organisation_id for consumer in consumers],
        [consumer.xid for consumer in consumers],
        [consumer.event_id for consumer in consumers],
        [",".join(types_for(consumer.types)) for consumer in consumers],
    )
    with connection.cursor() as cursor:
        cursor.execute(LAGS, columns)
        return {row[0]: Lag(row[1], row[2]) for row in cursor.fetchall()}
