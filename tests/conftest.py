"""Provide fixtures for all tests. Tests commit for real; each starts with empty tables."""

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

TOGETHER = ("tests/faults", "tests/acceptance")
"""Folders whose files one process runs: it measures time with one installation, or shares one."""

LONGEST = (
    *TOGETHER,
    "tests/upgrades",
    "tests/api/test_fuzz.py",
    "tests/integration/test_matching.py",
    "tests/integration/test_queue_order.py",
)


class Scheduling(LoadFileScheduling):
    """Distribute files to the processes of a parallel run, and folders of `TOGETHER`."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in TOGETHER if nodeid.startswith(f"{folder}/")), None) or (
            super()._split_scope(nodeid)
        )


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave tests/browser out, unless it is named: `make test` runs it by itself."""
    is_named = any("browser" in argument for argument in config.args)
    return True if collection_path.name == "browser" and not is_named else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, in spite of the shuffling.

    So the processes of a parallel run end at the same time, and tests that share an installation
    run one after another.
    """

    def place(item: pytest.Item) -> int:
        matches = (item.nodeid.startswith(prefix) for prefix in LONGEST)
        return next((number for number, found in enumerate(matches) if found), len(LONGEST))

    items.sort(key=place)


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
