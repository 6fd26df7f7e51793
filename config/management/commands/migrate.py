"""Apply the migrations while the service runs: `manage.py migrate`.

A statement that changes a table waits for the transactions that use it, and all later transactions
wait behind that statement. So it waits for a lock for `LOCK_MILLISECONDS` at most; then the
migration is rolled back and repeated after a pause. So is one that deadlocks with a transaction of
the service: a migration that adds keys locks several tables. Building an index may take any time:
it blocks no other transaction.
"""

import time
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as Migrate
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.base.transactions import is_race, is_timeout

# Shorter than PostgreSQL's `deadlock_timeout` of a second: the migration gives up first, not a
# transaction of the service.
LOCK_MILLISECONDS = 500
PAUSE_SECONDS = 2.0
ATTEMPTS = 100
BOUNDS = f"""
SELECT set_config('lock_timeout', '{LOCK_MILLISECONDS}ms', false),
    set_config('statement_timeout', '0', false),
    set_config('idle_in_transaction_session_timeout', '0', false)
"""
RESETS = (
    "RESET lock_timeout",
    "RESET statement_timeout",
    "RESET idle_in_transaction_session_timeout",
)


class Command(Migrate):
    """Run Django's command with a bounded wait for each lock."""

    help = (
        Migrate.help
        + " It waits half a second at a time for a lock, so that the service can run meanwhile."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        for _ in range(ATTEMPTS):
            _set(connection, BOUNDS)
            try:
                super().handle(*args, **options)
            except OperationalError as error:
                if not is_timeout(error) and not is_race(error):
                    raise
                self.stderr.write("a table is in use; retrying")
                time.sleep(PAUSE_SECONDS)
            else:
                return
            finally:
                _set(connection, *RESETS)
        raise CommandError(
            f"a table was in use {ATTEMPTS} times:"
            " end the transaction that locks it, see pg_stat_activity"
        )


def _set(connection: BaseDatabaseWrapper, *statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
