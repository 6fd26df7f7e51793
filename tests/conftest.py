"""Provide fixtures for all tests. Tests commit for real; each starts with empty tables."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test.utils import setup_databases, teardown_databases

from apps.api.http import throttling
from tests.factories import House
from tests.receiver import Receiver, receiving
from tests.tables import empty


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests that share an installation one after another, in spite of the shuffling."""
    items.sort(key=lambda item: "acceptance" in item.path.parts)


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
    """Provide the real database, with real commits, emptied afterwards."""
    with django_db_blocker.unblock():
        yield
        empty()


@pytest.fixture(scope="session", autouse=True)
def redis_may_be_slow() -> Iterator[None]:
    """Let calls wait longer for Redis than in production: a busy machine must not skip counts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(throttling, "TIMEOUT_SECONDS", 10.0)
        yield


@pytest.fixture
def house(database: None) -> House:
    """Provide an organisation with a pool, a backend (Alice) and a worker, and another one."""
    return House.build()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Provide an HTTP server on loopback that receives webhooks."""
    with receiving() as started:
        yield started
