"""Describe rows of workers for a transition to write: load, missed offers, and timers.

All changes that a batch makes to one worker are summed to one update: PostgreSQL would keep only
one of two updates of a row in a statement.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from apps.base.queries import load_query
from apps.base.rows import BulkStatement, Statement
from apps.pools.models import Pool, Worker
from apps.timers.changes import timer_deletion, timer_upsert

# The timer that follows a worker's hours and ends its snooze; its subject is the worker.
AVAILABILITY = "availability"

# The timer of a closed pool, as long as tasks wait for it; its subject is the pool.
POOL_CLOSED = "pool_closed"

# `/* deltas */` stands for rows of (worker_id, units, worked_until, misses, until_away, answered).
APPLY_LOAD_DELTAS = load_query("apps.pools", "apply_load_deltas")

GIVEN_DELTAS = """
SELECT * FROM jsonb_to_recordset(%s) AS given (worker_id uuid, units int, worked_until timestamptz,
    misses int, until_away int, answered bool)
"""


def capacity_reservation(*, worker_id: UUID, units: int = 1) -> BulkStatement:
    """Return the change that takes `units` of the worker's capacity."""
    return _load_delta(worker_id, units=units)


def capacity_release(
    *, worker_id: UUID, units: int = 1, worked_until: datetime | None = None
) -> BulkStatement:
    """Return the change that frees `units` of the worker's capacity.

    `worked_until` makes the worker the last in line: it has submitted work.
    """
    return _load_delta(worker_id, units=-units, worked_until=worked_until)


def missed_offer(*, worker_id: UUID, until_away: int | None, units: int = 1) -> BulkStatement:
    """Return the change after the worker let an offer expire: its `units` are free again.

    After `until_away` misses in a row (its pool's `misses_until_away`; None: never) an available
    worker is set away.
    """
    return _load_delta(worker_id, units=-units, misses=1, until_away=until_away)


def answered_offer(*, worker_id: UUID) -> BulkStatement:
    """Return the change after the worker accepted or declined an offer: no misses in a row."""
    return _load_delta(worker_id, answered=True)


def load_change_from(query: str, params: tuple[Any, ...]) -> Statement:
    """Return the load changes that `query` selects, for workers that only the database knows.

    Columns: (worker_id uuid, units int, worked_until timestamptz, misses int, until_away int,
    answered bool); negative units are freed.
    """
    return Statement(APPLY_LOAD_DELTAS.replace("/* deltas */", query), params)


def availability_timer(worker: Worker, due_at: datetime | None) -> BulkStatement:
    """Return the worker's availability timer; None removes it."""
    if due_at is None:
        return timer_deletion(subject_id=worker.id)
    return timer_upsert(
        organisation_id=worker.organisation_id,
        kind=AVAILABILITY,
        subject_id=worker.id,
        due_at=due_at,
    )


def closed_pool_timer(pool: Pool, due_at: datetime) -> BulkStatement:
    """Return the timer that fails the tasks for which no pool is left."""
    return timer_upsert(
        organisation_id=pool.organisation_id, kind=POOL_CLOSED, subject_id=pool.id, due_at=due_at
    )


APPLY_GIVEN_DELTAS = APPLY_LOAD_DELTAS.replace("/* deltas */", GIVEN_DELTAS)


def _load_delta(
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
    return BulkStatement(APPLY_GIVEN_DELTAS, row)
