"""Provide fixtures for all tests. Tests commit for real; each starts with empty tables."""

import gc
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.signals import setting_changed
from django.db import connection
from django.test.client import ClientHandler
from django.test.utils import setup_databases, teardown_databases
from xdist.scheduler import LoadFileScheduling

from apps.accounts.hashers import PasswordHasher
from apps.accounts.mail import wait_for_mails
from apps.api.http import rate_limits
from tests.factories import House
from tests.receiver import Receiver, receiving
from tests.servers import provide_migrated_database
from tests.tables import are_kept, empty

TOGETHER = {
    "what measures time": (
        "tests/faults/test_held.py",
        "tests/faults/test_kills.py",
        "tests/faults/test_pgbouncer.py",
        "tests/faults/test_queue_order.py",
    ),
    "what shares an installation": ("tests/acceptance/",),
}
"""Tests that one process runs, one after another: the beginnings of their names."""

LONGEST = (
    *itertools.chain.from_iterable(TOGETHER.values()),
    "tests/faults/",
    "tests/upgrades/",
    "tests/portal/test_live.py",
    "tests/api/test_fuzz.py",
    "tests/integration/test_queue_order.py",
    "tests/concurrency/",
    "tests/integration/test_matching.py",
    "tests/pages/",
    "tests/api/test_access_matrix.py",
    "tests/api/test_tenancy.py",
)

KEPT_ROWS = "world"
"""The fixture of rows that the tests of a file share, by `tests.tables.keep`."""


class Scheduling(LoadFileScheduling):
    """Distribute files to the processes of a parallel run, and the groups of `TOGETHER`."""

    def _split_scope(self, nodeid: str) -> str:
        groups = (name for name, begins in TOGETHER.items() if nodeid.startswith(begins))
        return next(groups, None) or super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave tests/browser out, unless it is named: `make test` runs it by itself."""
    is_named = any("browser" in argument for argument in config.args)
    return True if collection_path.name == "browser" and not is_named else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, in spite of the shuffling; in a file, with what shares rows.

    So the processes of a parallel run end at the same time, tests that share an installation run
    one after another, and shared rows are made once for a file: other tests empty the tables.
    """
    files: dict[Path, int] = {}

    def place(item: pytest.Item) -> tuple[int, int, bool]:
        matches = (item.nodeid.startswith(prefix) for prefix in LONGEST)
        longest = next((number for number, found in enumerate(matches) if found), len(LONGEST))
        shares = KEPT_ROWS in getattr(item, "fixturenames", ())
        return longest, files.setdefault(item.path, len(files)), not shares

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from looking at ten thousand collected tests, again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def migrated_database(django_db_blocker: Any) -> Iterator[None]:
    """Provide a migrated database for this run. An embedded one is replaced by the next run."""
    is_embedded = provide_migrated_database(connection.creation._get_test_db_name())
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, keepdb=is_embedded)
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0, keepdb=is_embedded)


@pytest.fixture
def database(migrated_database: None, django_db_blocker: Any) -> Iterator[None]:
    """Provide the real database, with real commits, emptied afterwards."""
    with django_db_blocker.unblock():
        if are_kept():
            empty()
        yield
        wait_for_mails()
        empty()


@pytest.fixture(scope="session", autouse=True)
def redis_may_be_slow() -> Iterator[None]:
    """Let calls wait longer for Redis than in production: a busy machine must not skip counts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_limits, "TIMEOUT_SECONDS", 10.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def passwords_hash_quickly() -> Iterator[None]:
    """Hash passwords with little memory: what makes them slow is no subject of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PasswordHasher, "memory_cost", 8)
        yield


@pytest.fixture(scope="session", autouse=True)
def clients_share_middleware() -> Iterator[None]:
    """Load the middleware once for all test clients, as a web process does for all requests.

    It is loaded again when a test changes a setting. Each load looks at all static files.
    """
    loaded: list[ClientHandler] = []
    load = ClientHandler.load_middleware

    def load_once(handler: ClientHandler) -> None:
        if not loaded:
            load(handler)
            loaded.append(handler)
        vars(handler).update(vars(loaded[0]) | {"enforce_csrf_checks": handler.enforce_csrf_checks})

    def forget(**_: object) -> None:
        loaded.clear()

    setting_changed.connect(forget)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClientHandler, "load_middleware", load_once)
        yield
    setting_changed.disconnect(forget)


@pytest.fixture
def house(database: None) -> House:
    """Provide an organisation with a pool, a backend (Alice) and a worker, and another one."""
    return House.build()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Provide an HTTP server on loopback that receives webhooks."""
    with receiving() as started:
        yield started
