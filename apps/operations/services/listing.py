"""Write again what is listed of the tasks that were touched, and compare all of it once a day.

1. A fold deletes rows of touched tasks and writes `ListedTask` and the counts, in one statement: it
   sees what the transactions have done that touched them. What others do meanwhile touches the
   task again.
2. Only one fold runs at a time: a second one could write what it saw before the first. It is not
   waited for, since readers look at touched tasks themselves.
3. A comparison is one statement for some thousand tasks, in one snapshot: a task that was not
   touched since it was listed is listed as it is. Where it is not, it is touched.
4. The counts are compared with what is listed. A fold changes both at once, so that the difference
   is the same in every snapshot, and is added.
"""

import logging
from typing import Any
from uuid import UUID

from django.db import connection

from apps.base.queries import load_template
from apps.base.transactions import atomic
from apps.operations.listed import MARKS, is_listed, statement
from apps.operations.services.folding import fold_changes

logger = logging.getLogger(__name__)

BATCH = 5_000
COMPARED = 5_000

# As `pg_locks` shows them: any numbers that no other advisory lock of the database has.
LOCK = 1_946_201_531
COUNTS_LOCK = 1_946_201_532

FIRST = UUID(int=0)

LISTED = "UPDATE operations_recount SET listed_drift = %s, listed_at = clock_timestamp()"

DELETE_ZEROS = "DELETE FROM operations_listedcount WHERE number = 0"
JOIN_DOUBLES = load_template("apps.operations", "listed_join")


def fold_touched() -> int:
    """Fold a batch of touched tasks. Return how many rows, or 0 if fewer than a batch were left.

    0 as well while another process folds.
    """
    with atomic(), connection.cursor() as cursor:
        if not _is_alone(LOCK):
            return 0
        cursor.execute(statement("listed_fold"), {"limit": BATCH, **MARKS})
        (taken,) = cursor.fetchone()
    return int(taken) if taken == BATCH else 0


def fold_all() -> int:
    """Fold a batch of the changes of figures, and of touched tasks. Return how many, as both do."""
    return fold_changes() + fold_touched()


def recount_listed() -> int:
    """Compare all that is listed with the tasks. Return how much of it was wrong, and is corrected.

    The first time nothing is listed, and nothing is wrong.
    """
    was_listed = is_listed()
    wrong = _compare_tasks() + _compare_counts()
    drift = wrong if was_listed else 0
    with connection.cursor() as cursor:
        cursor.execute(LISTED, [drift])
    if drift:
        logger.warning("%s of what is listed of tasks was wrong, and is corrected", drift)
    return drift


def clean_up_listed() -> None:
    """Delete counts of 0, and join rows of one figure."""
    with atomic(), connection.cursor() as cursor:
        if _is_alone(LOCK):
            cursor.execute(DELETE_ZEROS)
            cursor.execute(JOIN_DOUBLES)


def _is_alone(lock: int) -> bool:
    """Return whether this transaction has the lock until it ends: no other one has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock])
        return bool(cursor.fetchone()[0])


def _compare_tasks() -> int:
    after, wrong, last = FIRST, 0, UUID(int=2**128 - 1)
    while after < last:
        with atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '1min'")
            values: dict[str, Any] = {"after": after, "limit": COMPARED}
            cursor.execute(statement("listed_compare"), values)
            after, found = cursor.fetchone()
        wrong += found
        while found and fold_touched():
            pass
    return wrong


def _compare_counts() -> int:
    with atomic(), connection.cursor() as cursor:
        # It may have to read millions of tasks, and keeps no other transaction waiting.
        cursor.execute("SET LOCAL statement_timeout = '10min'")
        # A second comparison at the same time would add the same corrections again.
        if not _is_alone(COUNTS_LOCK):
            return 0
        cursor.execute(statement("listed_recount"), MARKS)
        (wrong,) = cursor.fetchone()
    return int(wrong)
