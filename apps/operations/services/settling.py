"""Find up to which number the logs are settled: each number is written, or never will be.

A transaction may commit a number after another one has committed a greater one. A stream waits for
all transactions of the installation (log_watcher.py). A cursor that is moved past a number for good
has the same need; here only those are waited for that may have taken one:

1. Read the last number that was taken.
2. Read which transactions hold the lock by which a table is written, of either log: one that took
   a number has held it since before, and holds it to its end.
3. Once these have ended, every number up to the one of 1 is settled. They last milliseconds.
"""

import time
from typing import Any

from django.db import connection

from apps.operations.log_watcher import LAST_NUMBER

PATIENCE_SECONDS = 0.25
PAUSE_SECONDS = 0.02

WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
    AND relation IN ('events_event'::regclass, 'operations_logentry'::regclass)
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def settled_number() -> int | None:
    """Return a number up to which all are settled; None where a writer has not ended soon.

    Call it outside a transaction.
    """
    last: int = _run(LAST_NUMBER)[0]
    awaited = set(_run(WRITERS))
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while awaited:
        if time.monotonic() >= ends_at:
            return None
        time.sleep(PAUSE_SECONDS)
        awaited &= set(_run(WRITERS))
    return last


def _run(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [row[0] for row in cursor.fetchall()]
