"""Signatures for which nobody was found: they are passed over until somebody who fits turns up.

A signature that got nobody is *in vain* (`nobody_at` is set). It is looked at again when

- a seat that fits it opens: `wake` compares the seats that opened since the last time with all that is
  in vain, each seat once, so the cost follows what happened and not what waits. All that fit are
  woken, or a later task could overtake one that was not;
- somebody who had said no may be asked again, or a window of offers ended (`looks_again_at`);
- `LOOKED_AT_IN_FULL_EVERY` has passed: should anything else open without a trace.

Which seats are new is told by the transaction in which they opened. All of this happens under the
organisation's lock, so that nothing is noted in vain between a comparison and the note of how far it
went.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.base.rows import BulkStatement, Change
from apps.matching.seats import FITS, POOLS, WINDOW_ENDS
from apps.tasks.models import Task

LOOKS_AGAIN = timedelta(seconds=1)
"""What rests is looked at once more then: see `NOTE`."""

PASSED_OVER = timedelta(seconds=5)
"""What failed is tried again then."""

MANY_SEATS = 256
"""When so many open at once everybody is woken: to look is cheaper than to compare."""

COMPARED = """
CASE WHEN pg_snapshot_xmax(t.compared) <= pg_snapshot_xmax(pg_current_snapshot()) THEN t.compared END
"""
"""What the last comparison of an organisation `t` saw. (A dump that was restored elsewhere starts the count
of transactions anew: a snapshot or a seat from before is then ahead of all.)"""

OPENED = """
FROM pools_membership m JOIN pools_pool p ON p.id = m.pool_id AND p.status = 'active'
WHERE m.organisation_id = {organisation} AND m.free > 0
    AND m.opened_in >= coalesce(pg_snapshot_xmin({compared}), '0')
    AND m.opened_in < pg_snapshot_xmax(pg_current_snapshot())
    AND pg_visible_in_snapshot(m.opened_in, {compared}) IS NOT TRUE
"""
"""The seats of an organisation that opened in transactions which its last comparison did not see."""

WAKE = f"""
WITH last AS (
    SELECT (SELECT {COMPARED} FROM matching_turn t
            WHERE t.organisation_id = %(organisation_id)s) AS compared
), opened AS MATERIALIZED (
    SELECT m.* {OPENED.format(organisation="%(organisation_id)s", compared="(SELECT compared FROM last)")}
    LIMIT {MANY_SEATS} + 1
), fits AS MATERIALIZED (
    SELECT r.id FROM tasks_requirement r
    WHERE r.organisation_id = %(organisation_id)s AND r.nobody_at IS NOT NULL
        AND ((SELECT count(*) FROM opened) > {MANY_SEATS} OR EXISTS (
            SELECT FROM opened m
            WHERE (r.pool_ids IS NULL OR m.pool_id = ANY (r.pool_ids)) AND {FITS}))
), fitting AS MATERIALIZED (
    SELECT r.id, r.nobody_at, r.looks_again_at FROM tasks_requirement r JOIN fits ON fits.id = r.id
    WHERE r.nobody_at IS NOT NULL
    ORDER BY r.id FOR NO KEY UPDATE OF r /* skip */
), woken AS (
    UPDATE tasks_requirement r SET nobody_at = NULL, looks_again_at = NULL
    FROM fitting WHERE r.id = fitting.id
), marked AS (
    INSERT INTO matching_turn (organisation_id, weight, position, compared)
    SELECT %(organisation_id)s, 1, 0, pg_current_snapshot() WHERE EXISTS (SELECT FROM opened)
        AND (/* waits */ true OR (SELECT count(*) FROM fits) = (SELECT count(*) FROM fitting))
    ON CONFLICT (organisation_id) DO UPDATE SET compared = excluded.compared
)
SELECT ARRAY(SELECT id FROM opened), array_agg(id), array_agg(nobody_at), array_agg(looks_again_at),
    pg_current_snapshot()::text
FROM fitting
"""
"""Each statement here locks its rows by id. Two of one turn can still wait in a circle with somebody who
queues tasks again: PostgreSQL ends one of them, which is tried again.

With `skip`, rows that others hold are passed over; the comparison then counts as not made, and the same
seats are compared once more in the next turn."""

SETTLE = f"""
UPDATE tasks_requirement r SET nobody_at = was.nobody_at, looks_again_at = was.looks_again_at
FROM unnest(%(signatures)s::uuid[], %(nobody_at)s::timestamptz[], %(looks_again_at)s::timestamptz[])
    AS was (id, nobody_at, looks_again_at)
-- They were locked when they were woken.
WHERE r.id = was.id AND r.id <> ALL (%(looked_at)s) AND NOT EXISTS (
    SELECT FROM pools_membership m
    WHERE m.id = ANY (%(seats)s) AND (r.pool_ids IS NULL OR m.pool_id = ANY (r.pool_ids)) AND {FITS})
"""

NOTE = f"""
UPDATE tasks_requirement r SET nobody_at = %(at)s, looks_again_at = least(
    CASE WHEN vain.was_in_vain THEN vain.rests_until ELSE least(vain.rests_until, %(soon)s) END, (
    SELECT min(window_.ends_at) FROM pools_pool p JOIN pools_membership m ON m.pool_id = p.id
    CROSS JOIN LATERAL ({WINDOW_ENDS.format(seat="m", pool="p")}) window_
    WHERE p.id IN ({POOLS}) AND p.offers_per_window IS NOT NULL AND window_.ends_at > %(at)s AND {FITS}))
FROM (
    SELECT r.id, r.nobody_at IS NOT NULL AS was_in_vain, vain.rests_until
    FROM unnest(%(signatures)s::uuid[], %(rests_until)s::timestamptz[]) AS vain (id, rests_until)
    JOIN tasks_requirement r ON r.id = vain.id ORDER BY r.id FOR NO KEY UPDATE OF r /* skip */
) vain
WHERE r.id = vain.id AND (vain.rests_until IS NULL OR NOT EXISTS (
    SELECT FROM tasks_task t WHERE t.status = 'queued' AND t.organisation_id = r.organisation_id
        AND t.requirement_id = r.id AND t.id <> ALL (%(known)s)))
RETURNING r.id
"""
"""A window of offers ends by the clock: whoever is kept out by nothing else may be asked at that moment.

Somebody may rest for all `known` tasks of a signature and not for one that is being queued just then, unseen
by us and not seeing our note (see LOOK_AGAIN): so what rests is looked at once more soon."""

LEAVE_ALONE = """
UPDATE tasks_requirement r SET nobody_at = %(at)s, looks_again_at = %(until)s
FROM (
    SELECT r.id FROM tasks_requirement r WHERE r.id = ANY (%(ids)s)
    ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED
) free
WHERE r.id = free.id
"""

LOOK_AGAIN = """
UPDATE tasks_requirement r SET nobody_at = NULL, looks_again_at = NULL
FROM (
    SELECT r.id FROM tasks_requirement r
    WHERE r.id IN (SELECT id FROM jsonb_to_recordset(%s) AS queued (id uuid))
        AND r.looks_again_at IS NOT NULL
    ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED
) resting
WHERE r.id = resting.id
"""
"""A row that is held is being noted by the matcher, which looks again within `LOOKS_AGAIN`."""


def _passing_over_held(statement: str) -> str:
    skips = statement.replace("/* skip */", "SKIP LOCKED")
    return skips.replace("/* waits */ true", "false")


WAKE_FREE, NOTE_FREE = _passing_over_held(WAKE), _passing_over_held(NOTE)
"""The same, passing over rows that others hold."""

FORGET = """
UPDATE tasks_requirement r SET nobody_at = NULL, looks_again_at = NULL
FROM (
    SELECT r.id FROM tasks_requirement r
    WHERE r.nobody_at IS NOT NULL AND NOT EXISTS (
        SELECT FROM tasks_task t WHERE t.status = 'queued'
            AND t.organisation_id = r.organisation_id AND t.requirement_id = r.id)
    FOR NO KEY UPDATE SKIP LOCKED
) idle
WHERE r.id = idle.id
"""
"""Whoever comes to wait for one of them meanwhile is looked at once more than needed."""


@dataclass(frozen=True, slots=True)
class Woken:
    """The seats that opened, and the signatures that they woke, with what these had noted before.

    `seen` is the snapshot in which seats were compared. A seat that opened since then was compared with
    nothing, and must not be given away before it was: whoever is in vain would be overtaken.
    """

    seats: list[UUID]
    signatures: list[UUID] | None
    nobody_at: list[datetime] | None
    looks_again_at: list[datetime | None] | None
    seen: str | None = None


def wake(*, organisation_id: UUID, at: datetime, skips_held: bool = False) -> Woken:
    """Whoever is in vain and fits a seat that opened is looked at again."""
    with connection.cursor() as cursor:
        statement = WAKE_FREE if skips_held else WAKE
        cursor.execute(statement, {"organisation_id": organisation_id, "at": at})
        return Woken(*cursor.fetchone())


def settle(woken: Woken, *, looked_at: Collection[UUID], at: datetime) -> None:
    """Those whose turn it was not yet are in vain as before where others filled the seats that woke
    them: no other fits them, and they need no look of their own.
    """
    if woken.signatures and len(woken.seats) <= MANY_SEATS:
        with connection.cursor() as cursor:
            cursor.execute(SETTLE, asdict(woken) | {"looked_at": list(looked_at), "at": at})


def note(
    nobody: Mapping[UUID, datetime | None],
    *,
    known: Collection[UUID],
    at: datetime,
    skips_held: bool = False,
) -> set[UUID]:
    """Nobody was found for these signatures: nobody fits (None), or whoever does rests for all `known` tasks,
    the first until the time given. Answers those that were noted, which leaves out what rests while tasks of
    it wait that are not known.
    """
    if not nobody:
        return set()
    given: dict[str, Any] = {
        "signatures": list(nobody),
        "rests_until": list(nobody.values()),
        "known": list(known),
        "at": at,
        "soon": at + LOOKS_AGAIN,
    }
    with connection.cursor() as cursor:
        cursor.execute(NOTE_FREE if skips_held else NOTE, given)
        return {row[0] for row in cursor.fetchall()}


def pass_over(signatures: Collection[UUID], at: datetime) -> None:
    """Whatever happens, these are not looked at for a while; those that others hold are left as they are."""
    with connection.cursor() as cursor:
        cursor.execute(LEAVE_ALONE, {"ids": list(signatures), "at": at, "until": at + PASSED_OVER})


def look_again(task: Task) -> Iterable[Change]:
    """A task that is queued may be taken by those who said no to others of its signature."""
    yield BulkStatement(LOOK_AGAIN, {"id": task.requirement_id})


def forget_in_vain() -> int:
    """What nobody waits for any more need not be compared with seats. Answers how many signatures."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET)
        return int(cursor.rowcount)
