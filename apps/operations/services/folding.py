"""Fold the changes of figures into counts and histograms.

Every transition inserts a row (changes.py), and never updates a count: transitions of one kind
would wait for each other. A fold is one statement that deletes changes and adds their sums:

1. It takes the first changes, without those that another transaction has locked.
2. For each kind of task it adds the sum to a row that is not locked, or inserts a row. So it waits
   for nothing, two folds at once cannot deadlock, and a transaction that holds a row stops none.
3. Killed at any point, it has changed nothing.

Figures are read as counts and changes together, in one snapshot: they are exact however late a
fold comes. Rows of one kind are joined by the sweep.
"""

from datetime import datetime

from django.db import connection

from apps.base import clock
from apps.base.queries import load_query
from apps.operations.buckets import ALL_TASKS, KEPT, LENGTHS

BATCH = 5_000

FOLD = load_query("apps.operations", "fold")

FIRST_CHANGE_DUE_AT = (
    "SELECT least((SELECT least(occurred_at + interval '1 second', clock_timestamp())"
    " FROM operations_taskchange LIMIT 1),"
    " (SELECT touched_at + interval '1 second' FROM operations_touchedtask LIMIT 1))"
)
"""Since when changes are due: a later fold adds more of them at once. Any row stands for all.

One whose time is in the future, since the clock was set back, is due at once.
"""

DELETE_ZEROS = """
DELETE FROM operations_taskcount WHERE id = ANY (ARRAY(
    SELECT id FROM operations_taskcount WHERE number = 0 FOR UPDATE SKIP LOCKED))
"""

JOIN_DOUBLES = """
WITH doubles AS (
    SELECT c.id FROM operations_taskcount c JOIN (
        SELECT organisation_id, pool_ids, domain, stage, sla FROM operations_taskcount
        GROUP BY organisation_id, pool_ids, domain, stage, sla HAVING count(*) > 1
    ) several USING (organisation_id, pool_ids, domain, stage, sla)
    FOR UPDATE OF c SKIP LOCKED
), deleted AS (
    DELETE FROM operations_taskcount c USING doubles WHERE c.id = doubles.id RETURNING c.*
)
INSERT INTO operations_taskcount (organisation_id, pool_ids, domain, stage, sla, number)
SELECT organisation_id, pool_ids, domain, stage, sla, sum(number) FROM deleted
GROUP BY organisation_id, pool_ids, domain, stage, sla HAVING sum(number) <> 0
"""

DELETE_OLD = """
DELETE FROM operations_tasktiming WHERE id = ANY (ARRAY(
    SELECT id FROM operations_tasktiming WHERE granularity = %s AND begins_at < %s
    LIMIT %s FOR UPDATE SKIP LOCKED))
"""


def fold_changes() -> int:
    """Fold a batch of changes. Return how many, or 0 if fewer than a batch were left.

    What is written meanwhile waits for the next pass: its cost follows the kinds of tasks in a
    batch, not the changes.
    """
    with connection.cursor() as cursor:
        cursor.execute(FOLD, {"limit": BATCH, "all_tasks": list(ALL_TASKS)})
        (taken,) = cursor.fetchone()
    return int(taken) if taken == BATCH else 0


def clean_up_rollups(*, at: datetime | None = None) -> None:
    """Delete histograms that are not kept any longer and counts of 0, and join rows of one kind."""
    at = at or clock.now()
    with connection.cursor() as cursor:
        cursor.execute(DELETE_ZEROS)
        cursor.execute(JOIN_DOUBLES)
        for granularity, kept in KEPT.items():
            while True:
                before = at - kept - LENGTHS[granularity]
                cursor.execute(DELETE_OLD, [granularity.value, before, BATCH])
                if cursor.rowcount < BATCH:
                    break
