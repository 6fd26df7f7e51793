"""Provide fixtures for all tests. Tests commit for real; each starts with empty tables."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import setup_databases, teardown_databases

from tests.factories import House
from tests.receiver import Receiver, receiving


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests that share an installation one after another, in spite of the shuffling."""
    items.sort(key=lambda item: "acceptance" in item.path.parts)


KEPT = {"django_migrations", "django_content_type", "auth_permission"}


@pytest.fixture(scope="session")
def migrated_database(django_db_blocker: Any) -> Iterator[None]:
    """Create and migrate a database for this run."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False)
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


@pytest.fixture
def database(migrated_database: None, django_db_blocker: Any) -> Iterator[None]:
    """Provide the real database, with real commits, emptied afterwards by one statement."""
    with django_db_blocker.unblock():
        yield
        _empty()


FULL_EVERY = 200
"""The number of tests after which tables are truncated: deleted rows stay in their files."""

_emptied = itertools.count(1)


def _empty() -> None:
    """Delete the rows of the test. Truncating all tables takes ten times as long."""
    tables = sorted(set(connection.introspection.table_names()) - KEPT)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('is_superuser') = 'on'")
        (is_superuser,) = cursor.fetchone()
        if not is_superuser or next(_emptied) % FULL_EVERY == 0:
            cursor.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")
            return
        looks = (f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in tables)
        cursor.execute(" UNION ALL ".join(looks))
        written = [row[0] for row in cursor.fetchall()]
    with transaction.atomic(), connection.cursor() as cursor:
        # Triggers and foreign keys are disabled: the log refuses deletion, and order would matter.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in written:
            cursor.execute(f"DELETE FROM {table}")


@pytest.fixture
def house(database: None) -> House:
    """Provide an organisation with a pool, a backend (Alice) and a worker, and another one."""
    return House.build()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Provide an HTTP server on loopback that receives webhooks."""
    with receiving() as started:
        yield started
