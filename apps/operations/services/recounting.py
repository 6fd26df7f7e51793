"""Count the open tasks, and correct the roll-ups where they differ.

Both are read in one snapshot, by one statement, and the correction is written as changes that are
folded like others. A transition changes a task and its count together, so that the difference is
the same before and after it: the correction is exact beside running transitions, and needs no lock
but one against a second recount.

The version before roll-ups writes no changes. While its processes run beside this one, and after
them, counts are wrong by what they did: the first recount runs ten seconds after the ticker of
this version has started, and another one ten minutes later, when they have ended.
"""

import logging
from datetime import timedelta

from django.db import connection

from apps.base.queries import load_query
from apps.base.transactions import atomic
from apps.operations.listed import is_listed
from apps.operations.services.listing import recount_listed
from biolayer import VERSION

logger = logging.getLogger(__name__)

EVERY = timedelta(hours=24)
AFTER_UPGRADE = timedelta(minutes=10)

# As `pg_locks` shows it: any number that no other advisory lock of the database has.
LOCK = 1_946_201_530

RECOUNT = load_query("apps.operations", "recount")

NOTE = """
INSERT INTO operations_recount AS last (id, ran_at, due_at, version, drift)
VALUES (1, clock_timestamp(), clock_timestamp() + %(upgrade)s::interval, %(version)s, 0)
ON CONFLICT (id) DO UPDATE SET ran_at = excluded.ran_at, version = excluded.version,
    drift = %(drift)s, due_at = CASE WHEN last.version = excluded.version
        THEN excluded.ran_at + %(every)s::interval ELSE excluded.due_at END
RETURNING drift
"""

# Two versions that run beside each other must not recount in turns without end.
IS_DUE = """
SELECT NOT EXISTS (SELECT FROM operations_recount
    WHERE (due_at > clock_timestamp() AND version = %(version)s)
        OR ran_at > clock_timestamp() - interval '1 minute')
"""


def recount() -> int | None:
    """Count all open tasks, and correct the roll-ups. Return by how many tasks they were wrong.

    None: another process recounts at the moment. The first recount of an installation counts what
    was there before, and returns 0.
    """
    with atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return None
        # It may have to read millions of tasks, and keeps no other transaction waiting.
        cursor.execute("SET LOCAL statement_timeout = '10min'")
        cursor.execute(RECOUNT)
        (found,) = cursor.fetchone()
        values = {
            "drift": found, "version": VERSION, "every": EVERY, "upgrade": AFTER_UPGRADE
        }  # fmt: skip
        cursor.execute(NOTE, values)
        drift = int(cursor.fetchone()[0])
    if drift:
        logger.warning("the figures of open tasks were wrong by %s tasks, and are corrected", drift)
    return drift


def recount_if_due() -> int | None:
    """Recount if it was not done for a day, or after an upgrade, also what is listed of tasks."""
    with connection.cursor() as cursor:
        cursor.execute(IS_DUE, {"version": VERSION})
        (is_due,) = cursor.fetchone()
    drift = recount() if is_due else None
    # What was not listed yet, since an earlier recount was stopped, does not wait for a day.
    if drift is not None or not is_listed():
        recount_listed()
    return drift
