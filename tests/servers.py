"""Start the servers of a test run: embedded ones, unless the environment names others.

Loaded before Django's settings (`-p tests.servers`).
"""

import os
from pathlib import Path

import pytest

# TEST_HOME allows two runs at the same time.
HOME = Path(
    os.environ.get("TEST_HOME") or Path(__file__).resolve().parents[1] / ".biolayer" / "tests"
)

os.environ["BIOLAYER_HOME"] = str(HOME)

from local import embedded  # noqa: E402 - the home must be set first


def pytest_configure(config: pytest.Config) -> None:
    if config.option.collectonly or config.option.help:
        return
    embedded.prepare_home(HOME)
    if not os.environ.get("DATABASE_URL"):
        embedded.start_postgres(HOME, durable=False)
    if not os.environ.get("REDIS_URL"):
        embedded.start_redis(HOME)


def pytest_unconfigure(config: pytest.Config) -> None:
    if config.option.collectonly or config.option.help:
        return
    if not os.environ.get("REDIS_URL"):
        embedded.stop_redis(HOME)
    if not os.environ.get("DATABASE_URL"):
        embedded.stop_postgres(HOME)
