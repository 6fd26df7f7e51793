"""Share one installation among all tests of this folder."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from biolayer.client import Backend
from tests.faults.installation import PROJECT, Installation
from tests.migrated import OURS


@pytest.fixture(scope="package")
def installation() -> Iterator[Installation]:
    with Installation.running(is_first_start=True) as running:
        yield running


@pytest.fixture
def backend(installation: Installation) -> Iterator[Backend]:
    with Backend(installation.access["base_url"], installation.access["api_key"]) as backend:
        yield backend


@pytest.fixture(scope="module")
def admin(installation: Installation) -> dict[str, str]:
    """Return the key of an admin and the worker that it may work for."""
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    done = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.admin_key"],
        cwd=PROJECT,
        env={**inherited, "BIOLAYER_HOME": str(installation.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return made
