"""Start the servers of a test run: embedded ones, unless the environment names others.

Each process of a parallel run has servers of its own. Loaded before Django's settings
(`-p tests.servers`).
"""

import os
import sys

import psycopg
import pytest

from config.embedded import DATABASE, database_url
from local import embedded
from tests import migrated

HOME = migrated.ROOT / os.environ.get("PYTEST_XDIST_WORKER", "")

os.environ["BIOLAYER_HOME"] = str(HOME)

# A run starts hundreds of processes: without stored bytecode each compiles all modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_configure(config: pytest.Config) -> None:
    if _starts_processes(config) and (
        os.environ.get("DATABASE_URL") or os.environ.get("REDIS_URL")
    ):
        raise pytest.UsageError(
            "several processes cannot share DATABASE_URL or REDIS_URL: add --numprocesses=0"
        )
    if not _runs_tests(config):
        return
    embedded.prepare_home(HOME)
    if not os.environ.get("DATABASE_URL"):
        embedded.start_postgres(HOME, durable=False)
    if not os.environ.get("REDIS_URL"):
        embedded.start_redis(HOME)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _runs_tests(config):
        return
    if not os.environ.get("REDIS_URL"):
        embedded.stop_redis(HOME)
    if not os.environ.get("DATABASE_URL"):
        embedded.stop_postgres(HOME)


def provide_migrated_database(name: str) -> bool:
    """Give the embedded PostgreSQL, to which nothing is connected, a migrated database.

    Return False where the environment names another server, which is not ours to fill.
    """
    if os.environ.get("DATABASE_URL"):
        return False
    embedded.stop_postgres(HOME)
    migrated.copy_into(HOME)
    embedded.start_postgres(HOME, durable=False)
    maintenance = database_url(HOME).replace(f"/{DATABASE}?", "/postgres?", 1)
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {DATABASE} RENAME TO {name}")
    return True


def _runs_tests(config: pytest.Config) -> bool:
    is_asked_only = config.option.collectonly or config.option.help
    return not (is_asked_only or _starts_processes(config))


def _starts_processes(config: pytest.Config) -> bool:
    """Return whether this process only distributes the tests of a parallel run."""
    return bool(config.getoption("dist", "no") != "no")
