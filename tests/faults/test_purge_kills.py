"""Drains of the retention are killed repeatedly: in the end the canary is nowhere.

The workers are real processes, killed by `kill -9`.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from apps.tasks.models import Purge, StoredFile, Task
from tests.factories import House
from tests.faults.installation import PROJECT, eventually, say
from tests.retention_steps import (
    broken_chains,
    cancelled_tasks,
    found,
    full_task,
    pass_a_year,
)

TASKS = 300
COMPLETED = 3
WORKERS = 2
KILLS = 4
BATCH = "10"


@pytest.fixture
def storage() -> None:
    """Empty the storage of earlier tests, which the workers use, too."""
    shutil.rmtree(settings.MEDIA_ROOT, ignore_errors=True)


def test_kills__a_purge_goes_on(house: House, storage: None, tmp_path: Path) -> None:
    for _ in range(COMPLETED):
        full_task(house)
    cancelled_tasks(house, TASKS - COMPLETED)
    pass_a_year()
    for kill in range(KILLS):
        with drains(tmp_path / "worker.log"):
            goal = (kill + 1) * TASKS // (KILLS + 2)
            eventually(lambda goal=goal: purged() >= goal, seconds=30, every=0.005, what="progress")
    before = purged()
    assert before < TASKS, "the last kill came too late to be one"
    with drains(tmp_path / "worker.log"):
        eventually(lambda: purged() == TASKS, seconds=60, what="all purged")
        eventually(lambda: not StoredFile.objects.exists(), seconds=60, what="files deleted")
    say(f"{KILLS} kills of {WORKERS} drains, {before} of {TASKS} purged before the last")
    assert found() == []
    assert broken_chains() == (TASKS, [])
    assert Purge.objects.count() == 0
    assert Task.objects.filter(title="").count() == TASKS


def purged() -> int:
    return Task.objects.filter(purged_at__isnull=False).count()


@contextmanager
def drains(log: Path) -> Iterator[None]:
    """Run the workers, and end them by `kill -9`."""
    with log.open("ab") as out:
        workers = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.faults.purge_worker"),
                    *(connection.settings_dict["NAME"], BATCH),
                ],
                cwd=PROJECT,
                env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            for _ in range(WORKERS)
        ]
        try:
            yield
            ended = [worker for worker in workers if worker.poll() is not None]
            assert not ended, log.read_text(errors="replace")[-4000:]
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
