"""An organisation's events as a feed: complete under concurrency, each task's in order.

The feed sorts by (xid, id) and is read up to a *horizon*: the oldest transaction id still running.
Below it nothing is added any more (migration 0002 says why), so whatever is read between a place and
a horizon is the same at each reading, in whichever snapshot.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from apps.events.models import Event
from biolayer.events import EVENT_TYPES, matches, pattern_problem

STRETCH = 10_000
"""How many events one reading looks at at most, wanted or not: a rare type costs no endless scan."""

EVERYTHING = "*"
FEED_TYPES = tuple(name for name in EVENT_TYPES if name.startswith("task."))
"""What the feed can show: the events of tasks. Operational events go to endpoints only."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the feed: after the event `id` among those with the place `xid`."""

    xid: int
    id: int

    @staticmethod
    def of(event: Event) -> "Position":
        return Position(event.xid, event.id)


BEGINNING = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the feed: the wanted events in it, where it ends, and whether it goes on there."""

    events: list[Event]
    end: Position
    has_more: bool


def type_problem(pattern: str) -> str | None:
    """What is wrong with a pattern of event types in the feed; None when it is good."""
    problem = pattern_problem(pattern)
    if problem is None and not types_for([pattern]):
        return f"is not in the feed; ask for task.* or any of {', '.join(FEED_TYPES)}"
    return problem


def types_for(patterns: Collection[str] | None) -> list[str]:
    """The event types that the patterns ask for; None asks for every one that is not silent."""
    wanted = [EVERYTHING] if patterns is None else patterns
    return [name for name in FEED_TYPES if matches(wanted, name)]


def horizon() -> int:
    """Up to where the feed can be read now (exclusive). It never falls."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        (xid,) = cursor.fetchone()
    return int(xid)


HOLDER = """
SELECT extract(epoch FROM clock_timestamp() - since)::float, database, holder FROM (
    SELECT backend_xid AS xid, xact_start AS since, datname::text AS database,
        format('process %s (%s), %s', pid, application_name, coalesce(state, 'unknown')) AS holder
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
    UNION ALL
    SELECT transaction, prepared, database::text, 'prepared transaction ' || gid
    FROM pg_prepared_xacts
) running ORDER BY age(xid) DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class HorizonHolder:
    """The oldest transaction that has written and not ended, in whichever database of the cluster:
    the feed shows nothing from its beginning on.
    """

    # None where our role may not see it: grant it `pg_read_all_stats`.
    seconds: float | None
    database: str
    holder: str


def horizon_holder() -> HorizonHolder | None:
    """Return what holds the horizon back. None: nothing does, the feed is up to date."""
    with connection.cursor() as cursor:
        cursor.execute(HOLDER)
        row = cursor.fetchone()
    return None if row is None else HorizonHolder(*row)


BETWEEN = f"""
    FROM events_event
    WHERE organisation_id = %s AND (xid, id) > (%s::text::xid8, %s) AND xid < %s::text::xid8
    ORDER BY xid, id LIMIT {STRETCH}
"""
WANTED = f"""
SELECT * FROM (SELECT * {BETWEEN}) AS stretch WHERE type = ANY(%s) ORDER BY xid, id LIMIT %s
"""
EDGE = f"SELECT xid::text::bigint, id FROM (SELECT xid, id {BETWEEN}) AS s OFFSET {STRETCH - 1}"


def stretch(
    *, organisation_id: UUID, after: Position, until: int, types: Collection[str], limit: int
) -> Stretch:
    """At most `limit` events of `types` after a place and below the horizon `until`."""
    between: list[Any] = [organisation_id, str(after.xid), after.id, str(until)]
    # One more than wanted tells whether the feed goes on without another question.
    found = list(Event.objects.raw(WANTED, [*between, list(types), limit + 1]))
    if len(found) > limit:
        return Stretch(found[:limit], Position.of(found[limit - 1]), has_more=True)
    edge = _edge(between)
    if edge is not None:
        return Stretch(found, edge, has_more=True)
    # Everything below the horizon was looked at. A place beyond it stays as it is.
    return Stretch(found, max(after, Position(until, 0)), has_more=False)


def _edge(between: list[Any]) -> Position | None:
    """Where a reading that looked at `STRETCH` events ends; None where the feed ended before."""
    with connection.cursor() as cursor:
        cursor.execute(EDGE, between)
        row = cursor.fetchone()
    return None if row is None else Position(*row)


@dataclass(frozen=True, slots=True)
class Stirred:
    """A horizon, and the organisations that have events below it which were not there before."""

    horizon: int
    organisation_ids: frozenset[UUID]


STIRRED = """
WITH now AS MATERIALIZED (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xid)
SELECT now.xid::text::bigint, listed.organisation_id
FROM now LEFT JOIN unnest(%s::uuid[], %s::bigint[]) AS listed (organisation_id, since) ON EXISTS (
    SELECT FROM events_event
    WHERE events_event.organisation_id = listed.organisation_id
      AND events_event.xid >= listed.since::text::xid8 AND events_event.xid < now.xid
)
"""


def stirred(*, since: Mapping[UUID, int]) -> Stirred:
    """Which of the organisations have events at or beyond the horizon that was read up to last."""
    with connection.cursor() as cursor:
        cursor.execute(STIRRED, [list(since), list(since.values())])
        rows = cursor.fetchall()
    return Stirred(rows[0][0], frozenset(row[1] for row in rows if row[1] is not None))
