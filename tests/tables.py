"""Empty the tables, between tests and between the examples of a test."""

import itertools
from collections.abc import Iterable
from functools import cache

from django.db import connection, transaction

KEPT = {"django_migrations", "django_content_type", "auth_permission"}
FULL_EVERY = 200
"""The number of calls after which tables are truncated: deleted rows stay in their files."""

_calls = itertools.count(1)
_kept = False


def keep() -> None:
    """Keep the rows for the next tests: until the tables are emptied."""
    global _kept  # noqa: PLW0603 - a process has one database
    _kept = True


def are_kept() -> bool:
    """Return whether there are rows that an earlier test kept."""
    return _kept


def empty(*, except_apps: Iterable[str] = ()) -> None:
    """Delete all rows, except those of some apps. Truncating all tables takes ten times as long."""
    global _kept  # noqa: PLW0603 - a process has one database
    _kept = False
    prefixes = tuple(f"{app}_" for app in except_apps)
    tables = [table for table in _tables() if not table.startswith(prefixes)]
    if not _is_superuser() or next(_calls) % FULL_EVERY == 0:
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")
        return
    looks = (f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in tables)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(looks))
        written = [table for (table,) in cursor.fetchall()]
        # Triggers and foreign keys are disabled: the log refuses deletion, and order would matter.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in written:
            cursor.execute(f"DELETE FROM {table}")


@cache
def _tables() -> list[str]:
    return sorted(set(connection.introspection.table_names()) - KEPT)


@cache
def _is_superuser() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('is_superuser') = 'on'")
        return bool(cursor.fetchone()[0])
