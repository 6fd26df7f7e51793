"""`manage.py migrate`, beside a service that goes on.

A statement that changes a table waits for whoever has it, and everybody else waits behind that
statement. So no lock is waited for longer than `LOCK_SECONDS`; then all of it is let go, and tried again
after a pause. Building an index may take as long as it takes: nobody waits for it.
"""

import time
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as Migrate
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.base.transactions import is_timeout

LOCK_SECONDS = 1
PAUSE_SECONDS = 2.0
TRIES = 100
BOUNDS = f"""
SELECT set_config('lock_timeout', '{LOCK_SECONDS}s', false),
    set_config('statement_timeout', '0', false),
    set_config('idle_in_transaction_session_timeout', '0', false)
"""


RESETS = (
    "RESET lock_timeout",
    "RESET statement_timeout",
    "RESET idle_in_transaction_session_timeout",
)


class Command(Migrate):
    help = Migrate.help + " Locks are waited for a second at a time, so that the service goes on."

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        for _ in range(TRIES):
            _set(connection, BOUNDS)
            try:
                super().handle(*args, **options)
            except OperationalError as error:
                if not is_timeout(error):
                    raise
                self.stderr.write("a table is in use; trying again")
                time.sleep(PAUSE_SECONDS)
            else:
                return
            finally:
                _set(connection, *RESETS)
        raise CommandError(
            f"a table was in use {TRIES} times: end the transaction that holds it (pg_stat_activity)"
        )


def _set(connection: BaseDatabaseWrapper, *statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
