"""Named consumers: where they are, and how far behind."""

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
    """The organisation's consumers by name; where the actor's pools are restricted, those that were made
    for none but these. Raises `ScopeMissing`.
    """
    actor.require(Scope.TASKS_READ)
    mine = EventConsumer.objects.filter(organisation_id=actor.organisation_id)
    if actor.pool_ids is not None:
        mine = mine.filter(pool_ids__contained_by=sorted(actor.pool_ids))
    return mine.order_by("name")


def named(*, actor: Principal, name: str) -> EventConsumerQuerySet:
    """The consumer of that name, or nobody. Raises `ScopeMissing`."""
    mine = consumers(actor=actor)
    # A NUL is an error of the database, and in no name.
    return mine.none() if "\0" in name else mine.filter(name=name)


def consumer(*, actor: Principal, name: str) -> EventConsumer:
    """Raises `NotFound`, `ScopeMissing`."""
    found = named(actor=actor, name=name).first()
    if found is None:
        raise NotFound("event consumer")
    return found


def place_of(consumer: EventConsumer) -> Position:
    return Position(consumer.xid, consumer.event_id)


MOST_COUNTED = 1_000
"""How many events are looked at for each consumer: a list shows up to 100 of them."""

LAGS = f"""
SELECT listed.id, behind.wanted, behind.looked_at < {MOST_COUNTED}
FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::bigint[], %s::text[])
    AS listed (id, organisation_id, xid, event_id, types)
CROSS JOIN LATERAL (
    SELECT count(*) AS looked_at,
        count(*) FILTER (WHERE type = ANY(string_to_array(listed.types, ','))) AS wanted
    FROM (
        SELECT type FROM events_event
        WHERE events_event.organisation_id = listed.organisation_id
          AND (events_event.xid, events_event.id) > (listed.xid::text::xid8, listed.event_id)
          AND events_event.xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY events_event.xid, events_event.id LIMIT {MOST_COUNTED}
    ) AS stretch
) AS behind
"""


@dataclass(frozen=True, slots=True)
class Lag:
    """How many wanted events lie before a consumer. Only the next `MOST_COUNTED` events are looked at."""

    events: int
    is_exact: bool


AHEAD = f"""
SELECT task_id, type FROM events_event
WHERE organisation_id = %s AND (xid, id) > (%s::text::xid8, %s)
    AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xid, id LIMIT {MOST_COUNTED}
"""


def ahead(consumer: EventConsumer) -> Sequence[tuple[UUID, str]]:
    """Return task and type of the events before a consumer, at most `MOST_COUNTED`: for those who may not
    see them all.
    """
    with connection.cursor() as cursor:
        place: list[Any] = [consumer.organisation_id, str(consumer.xid), consumer.event_id]
        cursor.execute(AHEAD, place)
        return list(cursor.fetchall())


def lags(consumers: Sequence[EventConsumer]) -> dict[UUID, Lag]:
    """How far behind each of the consumers is, by its id."""
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
