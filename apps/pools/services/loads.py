"""What a worker's units and its missed offers come to, as part of the transition that changes them.

Whatever a batch changes of one worker is one row's sum in one statement: PostgreSQL would keep but
one of two updates of a row.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.base.rows import BulkStatement

MISSED_OFFERS = "missed_offers"
"""The reason of a presence that followed from offers that nobody answered."""

CHANGE = f"""
UPDATE pools_worker w SET load = w.load + change.units,
    waiting_since = coalesce(change.worked_until, w.waiting_since),
    missed_in_row = change.missed_in_row,
    presence = CASE WHEN change.goes THEN 'away' ELSE w.presence END,
    presence_reason = CASE WHEN change.goes THEN '{MISSED_OFFERS}' ELSE w.presence_reason END
FROM (
    SELECT w.id, sums.*, w.missed_in_row AS missed_before,
        CASE WHEN sums.answered THEN 0 ELSE least(w.missed_in_row + sums.misses, 32767) END
            AS missed_in_row,
        coalesce(w.presence = 'available' AND sums.misses > 0 AND NOT sums.answered
            AND w.missed_in_row + sums.misses >= sums.until_away, false) AS goes
    FROM (
        SELECT worker_id, sum(units)::int AS units, max(worked_until) AS worked_until,
            sum(misses)::int AS misses, min(until_away) AS until_away,
            bool_or(answered) AS answered
        FROM jsonb_to_recordset(%s) AS one (worker_id uuid, units int, worked_until timestamptz,
            misses int, until_away int, answered bool)
        GROUP BY worker_id
    ) sums
    JOIN pools_worker w ON w.id = sums.worker_id
    ORDER BY w.id FOR NO KEY UPDATE OF w
) change
WHERE w.id = change.id AND (change.units, change.worked_until, change.missed_in_row)
    IS DISTINCT FROM (0, NULL, change.missed_before)
"""
"""The rows are locked by id, so that two batches with the same workers do not wait in a circle. An
answer of a worker who missed nothing is no write."""


def reserve(*, worker_id: UUID, units: int = 1) -> BulkStatement:
    """So much of the worker's capacity is taken, as part of the transition that takes it."""
    return _change(worker_id, units=units)


def relieve(
    *, worker_id: UUID, units: int = 1, worked_until: datetime | None = None
) -> BulkStatement:
    """So much of it is free again; `worked_until` puts the worker at the end of the waiting line."""
    return _change(worker_id, units=-units, worked_until=worked_until)


def missed(*, worker_id: UUID, until_away: int | None, units: int = 1) -> BulkStatement:
    """The worker let an offer lapse: its units are free again. With `until_away` (its pool's
    `misses_until_away`; None: never) of them in a row, it is away, unless it said itself where it is.
    """
    return _change(worker_id, units=-units, misses=1, until_away=until_away)


def answered(*, worker_id: UUID) -> BulkStatement:
    """The worker accepted or declined an offer: whatever it missed before is forgotten."""
    return _change(worker_id, answered=True)


def _change(
    worker_id: UUID,
    *,
    units: int = 0,
    worked_until: datetime | None = None,
    misses: int = 0,
    until_away: int | None = None,
    answered: bool = False,
) -> BulkStatement:
    row: dict[str, Any] = {
        "worker_id": worker_id,
        "units": units,
        "worked_until": worked_until,
        "misses": misses,
        "until_away": until_away,
        "answered": answered,
    }
    return BulkStatement(CHANGE, row)


LOCK = """
SELECT w.id
FROM unnest(%s::uuid[], %s::int[]) AS wanted (id, units) JOIN pools_worker w ON w.id = wanted.id
WHERE pools_free(w) >= wanted.units
ORDER BY w.id FOR NO KEY UPDATE OF w SKIP LOCKED
"""
"""A row that was locked is looked at again as it is then, so the condition holds until we commit.
One that somebody else holds is passed over: nobody waits here, so nobody can wait in a circle."""

TAKE = """
UPDATE pools_worker w SET load = w.load + taken.units
FROM unnest(%s::uuid[], %s::int[]) AS taken (id, units) WHERE w.id = taken.id
"""


def lock_with_room(units: Mapping[UUID, int]) -> set[UUID]:
    """Lock the workers that have so many units to give. Return their ids; `take` may follow."""
    if not units:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [list(units), list(units.values())])
        return {row[0] for row in cursor.fetchall()}


def take(units: Mapping[UUID, int]) -> None:
    """Take units of workers that `lock_with_room` locked in the same transaction."""
    if units:
        with connection.cursor() as cursor:
            cursor.execute(TAKE, [list(units), list(units.values())])
