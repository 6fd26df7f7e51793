"""Read an organisation's events as a feed: complete under concurrency, each task's in order.

The feed sorts by (xid, id) and is read up to a *horizon*: the oldest transaction id still running.
Below it no event is added any more (migration 0002 says why), so the events between a position and
a horizon are the same at each reading, in any snapshot.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from apps.base.reading import columns_of
from apps.events.models import Event
from biolayer.events import EVENT_TYPES, matches, pattern_problem

# How many events one reading scans at most, matching or not: a rare type costs no endless scan.
MAX_SCANNED = 10_000

EVERYTHING = "*"

# The feed has the events of tasks. Operational events go to endpoints only.
FEED_TYPES = tuple(name for name in EVENT_TYPES if name.startswith(("task.", "review.", "appeal.")))


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Hold a position in the feed: after the event `id` among those with the same `xid`."""

    xid: int
    id: int

    @staticmethod
    def of(event: Event) -> "Position":
        """Return the position after an event."""
        return Position(event.xid, event.id)


BEGINNING = Position(0, 0)


@dataclass(frozen=True, slots=True)
class FeedSlice:
    """Hold a part of the feed: its matching events, where it ends, and whether more follow."""

    events: list[Event]
    end: Position
    has_more: bool


def type_problem(pattern: str) -> str | None:
    """Return what is wrong with a pattern of event types in the feed; None if it is valid."""
    problem = pattern_problem(pattern)
    if problem is None and not types_for([pattern]):
        return f"is not in the feed; ask for task.* or any of {', '.join(FEED_TYPES)}"
    return problem


def types_for(patterns: Collection[str] | None) -> list[str]:
    """Return the event types that match the patterns; None matches all that are not silent."""
    selected = [EVERYTHING] if patterns is None else patterns
    return [name for name in FEED_TYPES if matches(selected, name)]


def horizon() -> int:
    """Return up to which xid the feed can be read now (exclusive). It never decreases."""
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
    """Describe the oldest open transaction that has written, in any database of the cluster.

    The feed shows no event from its start on.
    """

    # None where our role may not read it: grant it `pg_read_all_stats`.
    seconds: float | None
    database: str
    holder: str


def horizon_holder() -> HorizonHolder | None:
    """Return what holds the horizon back; None if the feed is up to date."""
    with connection.cursor() as cursor:
        cursor.execute(HOLDER)
        row = cursor.fetchone()
    return None if row is None else HorizonHolder(*row)


BETWEEN = f"""
    FROM events_event
    WHERE organisation_id = %s AND (xid, id) > (%s::text::xid8, %s) AND xid < %s::text::xid8
    ORDER BY xid, id LIMIT {MAX_SCANNED}
"""
COLUMNS = columns_of(Event, alias="scanned")
# The columns are named: a prepared statement ends when a star gets a further one.
MATCHING = f"""
SELECT {COLUMNS}, words.note FROM (SELECT * {BETWEEN}) AS scanned
LEFT JOIN events_eventnote words
    ON words.task_id = scanned.task_id AND words.sequence = scanned.sequence
WHERE type = ANY(%s) ORDER BY xid, id LIMIT %s
"""
EDGE = f"SELECT xid::text::bigint, id FROM (SELECT xid, id {BETWEEN}) AS s OFFSET {MAX_SCANNED - 1}"


def feed_slice(
    *, organisation_id: UUID, after: Position, until: int, types: Collection[str], limit: int
) -> FeedSlice:
    """Return at most `limit` events of `types` after a position and below the horizon `until`."""
    between: list[Any] = [organisation_id, str(after.xid), after.id, str(until)]
    # One more than the limit shows whether more follow, without another query.
    events = list(Event.objects.raw(MATCHING, [*between, list(types), limit + 1]))
    if len(events) > limit:
        return FeedSlice(events[:limit], Position.of(events[limit - 1]), has_more=True)
    edge = _edge(between)
    if edge is not None:
        return FeedSlice(events, edge, has_more=True)
    # Everything below the horizon was scanned. A position beyond it stays as it is.
    return FeedSlice(events, max(after, Position(until, 0)), has_more=False)


def _edge(between: list[Any]) -> Position | None:
    """Return where a scan of `MAX_SCANNED` events ends; None where the feed ends before."""
    with connection.cursor() as cursor:
        cursor.execute(EDGE, between)
        row = cursor.fetchone()
    return None if row is None else Position(*row)


@dataclass(frozen=True, slots=True)
class FeedChanges:
    """Hold a horizon, and the organisations that have new events below it."""

    horizon: int
    organisation_ids: frozenset[UUID]


CHANGED = """
WITH now AS MATERIALIZED (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xid)
SELECT now.xid::text::bigint, listed.organisation_id
FROM now LEFT JOIN unnest(%s::uuid[], %s::bigint[]) AS listed (organisation_id, since) ON EXISTS (
    SELECT FROM events_event
    WHERE events_event.organisation_id = listed.organisation_id
      AND events_event.xid >= listed.since::text::xid8 AND events_event.xid < now.xid
)
"""


def feed_changes(*, since: Mapping[UUID, int]) -> FeedChanges:
    """Return which organisations have events at or above the horizon of their last reading."""
    with connection.cursor() as cursor:
        cursor.execute(CHANGED, [list(since), list(since.values())])
        rows = cursor.fetchall()
    return FeedChanges(rows[0][0], frozenset(row[1] for row in rows if row[1] is not None))
