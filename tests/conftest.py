"""Fixtures that every test may ask for. Tests commit for real; each starts with empty tables."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import setup_databases, teardown_databases

from tests.factories import House
from tests.receiver import Receiver, receiving

KEPT = {"django_migrations", "django_content_type", "auth_permission"}


@pytest.fixture(scope="session")
def migrated_database(django_db_blocker: Any) -> Iterator[None]:
    """A database of this run's own, migrated."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False)
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


@pytest.fixture
def database(migrated_database: None, django_db_blocker: Any) -> Iterator[None]:
    """The real database, with real commits, emptied afterwards by one statement."""
    with django_db_blocker.unblock():
        yield
        _empty()


def _empty() -> None:
    tables = sorted(set(connection.introspection.table_names()) - KEPT)
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")


@pytest.fixture
def house(database: None) -> House:
    """An organisation with a pool, a backend's key (Alice's) and a worker, and a stranger's."""
    return House.build()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A real HTTP server on loopback that takes webhooks."""
    with receiving() as started:
        yield started
