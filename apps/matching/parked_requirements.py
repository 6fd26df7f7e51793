"""Park requirements that no eligible worker can serve, until a worker who fits becomes free.

A parked requirement has a row in `matching_parkedrequirement`, and its queued tasks are left out of
matching. It is matched again when

- a membership that fits it opens (its worker becomes free or learns a skill, or it is new):
  `unpark_opened` compares the memberships that opened since the last time with the parked
  requirements, each membership once. So the cost follows what changed, not what waits. All
  requirements that fit are unparked: a later task must not overtake one that was not;
- the clock allows it (`recheck_at`): a cooldown or a window of offers has ended;
- a task is queued that asks for it, while it is parked for a cooldown: its transition inserts a
  recheck request (changes.py), which the next parking deletes;
- `RECHECK_AFTER` has passed, should a membership open without a trace.

Which memberships are new follows from the transaction in which they opened, not from a time: a time
is taken before it is committed. All of this happens under the organisation's lock (services/
batch_transaction.py), so that no requirement is parked between a comparison and its note.

All statements lock rows by id. With `skip_locked` they leave out the rows that another transaction
has locked.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.base.queries import load_query
from apps.matching.eligibility import FITS, POOL_IS_ALLOWED, WINDOW_ENDS_AT

RECHECK_SOON = timedelta(seconds=1)
RECHECK_AFTER = "10 minutes"
POSTPONED = timedelta(seconds=5)
"""When a requirement is tried again whose tasks failed to be matched."""

OPENED_LIMIT = 256
"""Where more memberships opened at once, all requirements are unparked: matching costs less than
the comparison."""

IS_DUE = f"""
coalesce((
    SELECT parked.parked_at < %(at)s - interval '{RECHECK_AFTER}'
        OR (parked.recheck_at IS NOT NULL AND parked.recheck_at <= %(at)s)
        OR EXISTS (SELECT FROM matching_recheckrequest request WHERE request.requirement_id = r.id)
    FROM matching_parkedrequirement parked WHERE parked.requirement_id = r.id), true)
"""
"""Whether a requirement `r` is not parked, or is to be rechecked. A scalar query, so that
PostgreSQL probes the index for each requirement instead of hashing the table."""

COMPARED_IN = """
CASE WHEN pg_snapshot_xmax(share.compared_in) <= pg_snapshot_xmax(pg_current_snapshot())
    THEN share.compared_in END
"""
"""The snapshot of an organisation's last comparison. A dump that was restored elsewhere starts the
count of transactions again: a snapshot from before is then ahead of all, and counts as none."""

OPENED = """
FROM pools_membership m JOIN pools_pool p ON p.id = m.pool_id AND p.status = 'active'
WHERE m.organisation_id = {organisation_id} AND m.free > 0
    AND m.opened_in >= coalesce(pg_snapshot_xmin({compared_in}), '0')
    AND m.opened_in < pg_snapshot_xmax(pg_current_snapshot())
    AND pg_visible_in_snapshot(m.opened_in, {compared_in}) IS NOT TRUE
"""
"""The memberships of an organisation that opened in transactions which a snapshot did not see."""


def _unpark_opened(*, skip_locked: bool) -> str:
    opened = OPENED.format(
        organisation_id="%(organisation_id)s", compared_in="(SELECT compared_in FROM last)"
    )
    return load_query(
        "apps.matching",
        "unpark_opened",
        compared_in=COMPARED_IN,
        opened=opened,
        opened_limit=str(OPENED_LIMIT),
        fits=FITS,
        skip_locked="SKIP LOCKED" if skip_locked else "",
    )


def _park(*, skip_locked: bool) -> str:
    return load_query(
        "apps.matching",
        "park",
        window_ends_at=WINDOW_ENDS_AT,
        pool_is_allowed=POOL_IS_ALLOWED,
        fits=FITS,
        skip_locked="SKIP LOCKED" if skip_locked else "",
    )


UNPARK_OPENED = _unpark_opened(skip_locked=False)
UNPARK_OPENED_SKIPPING = _unpark_opened(skip_locked=True)
PARK = _park(skip_locked=False)
PARK_SKIPPING = _park(skip_locked=True)
REPARK = load_query("apps.matching", "repark", fits=FITS)
POSTPONE = load_query("apps.matching", "postpone")

UNPARK_UNUSED = """
DELETE FROM matching_parkedrequirement parked USING (
    SELECT parked.requirement_id FROM matching_parkedrequirement parked WHERE NOT EXISTS (
        SELECT FROM tasks_task t WHERE t.status = 'queued'
            AND t.organisation_id = parked.organisation_id
            AND t.requirement_id = parked.requirement_id)
    FOR UPDATE SKIP LOCKED
) unused
WHERE parked.requirement_id = unused.requirement_id
"""

DELETE_UNUSED_REQUESTS = """
DELETE FROM matching_recheckrequest request WHERE NOT EXISTS (
    SELECT FROM matching_parkedrequirement parked
    WHERE parked.requirement_id = request.requirement_id)
"""


@dataclass(frozen=True, slots=True)
class Unparked:
    """Hold the memberships that opened, and the requirements that they unparked.

    `compared_in` is the snapshot of the comparison. A membership that opened since then must not be
    offered a task before it was compared: a parked requirement would be overtaken.
    """

    opened_ids: list[UUID]
    requirement_ids: list[UUID] | None
    # Of each requirement, what its row said.
    parked_at: list[datetime] | None
    recheck_at: list[datetime | None] | None
    compared_in: str | None = None


def unpark_opened(*, organisation_id: UUID, at: datetime, skip_locked: bool = False) -> Unparked:
    """Unpark the requirements that fit a membership which opened since the last comparison."""
    statement = UNPARK_OPENED_SKIPPING if skip_locked else UNPARK_OPENED
    with connection.cursor() as cursor:
        cursor.execute(statement, {"organisation_id": organisation_id, "at": at})
        return Unparked(*cursor.fetchone())


def repark(unparked: Unparked, *, matched_ids: Collection[UUID], at: datetime) -> None:
    """Park unmatched ones again whose opened memberships were taken by other tasks.

    No other membership fits them, so they need no batch of their own to find that out.
    """
    if not unparked.requirement_ids or len(unparked.opened_ids) > OPENED_LIMIT:
        return
    params: dict[str, Any] = {
        "requirement_ids": unparked.requirement_ids,
        "parked_at": unparked.parked_at,
        "recheck_at": unparked.recheck_at,
        "opened_ids": unparked.opened_ids,
        "matched_ids": list(matched_ids),
        "at": at,
        "soon": at + RECHECK_SOON,
    }
    with connection.cursor() as cursor:
        cursor.execute(REPARK, params)


def park(
    requirements: Mapping[UUID, datetime | None],
    *,
    deferred_task_ids: Collection[UUID],
    at: datetime,
    skip_locked: bool = False,
) -> set[UUID]:
    """Park the requirements, and return the ids of those that were parked.

    Each comes with the end of the first cooldown that all its `deferred_task_ids` wait for, or
    None where no worker is eligible. One with a cooldown is left out where other tasks of it are
    queued.
    """
    if not requirements:
        return set()
    params: dict[str, Any] = {
        "requirement_ids": list(requirements),
        "cooldowns_end_at": list(requirements.values()),
        "deferred_task_ids": list(deferred_task_ids),
        "at": at,
        "soon": at + RECHECK_SOON,
    }
    with connection.cursor() as cursor:
        cursor.execute(PARK_SKIPPING if skip_locked else PARK, params)
        return {row[0] for row in cursor.fetchall()}


def postpone(requirement_ids: Collection[UUID], *, at: datetime) -> None:
    """Leave these out of matching for `POSTPONED`, but those whose rows are locked."""
    params: dict[str, Any] = {
        "requirement_ids": list(requirement_ids),
        "at": at,
        "until": at + POSTPONED,
    }
    with connection.cursor() as cursor:
        cursor.execute(POSTPONE, params)


def unpark_unused() -> int:
    """Unpark the requirements that no queued task has. Return how many.

    They need not be compared any longer. One that a task is queued for meanwhile is matched once
    more than needed.
    """
    with connection.cursor() as cursor:
        cursor.execute(UNPARK_UNUSED)
        unparked = int(cursor.rowcount)
        cursor.execute(DELETE_UNUSED_REQUESTS)
        return unparked
