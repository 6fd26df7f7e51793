"""Drains of simulated workers are killed in the middle: each task is completed, once.

The workers are real processes, killed by `kill -9`. Run one again as it was by
`FAULTS_SEED=<the printed seed>`.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from django.db import connection

from apps.events.models import Event
from apps.matching.services import match_queued
from apps.pools.models import Worker
from apps.sandbox.models import SimulatedStep
from apps.tasks.models import Evidence, Task
from apps.tasks.services import queue_created
from tests.factories import SCHEMA, House, contract
from tests.faults.installation import PROJECT, eventually, say
from tests.probes import assert_events_are_gap_free
from tests.sandboxes import run_drains, sandbox_of, sandboxed

TASKS = 120
WORKERS = 2
KILLS = 5
WORKER = "tests.faults.sandbox_worker"


def test_kills__every_task_is_completed_once(house: House, tmp_path: Path) -> None:
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(10**6))
    say(f"FAULTS_SEED={seed}")
    chance = random.Random(seed)
    # Given tasks that are offered to simulated workers
    test = sandboxed(house)
    # Long enough for offers that wait for the killed drains
    test.patch(f"/v1/pools/{own_pool(test)}", {"offer_seconds": {"normal": 600}})
    output = {"schema": SCHEMA, "evidence_required": True}
    made = test.post("/v1/tasks/batch", [contract(output=output)] * TASKS).json()
    assert made["created"] == TASKS
    queue_created()
    while match_queued():
        pass
    # When the drains are killed meanwhile
    for kill in range(KILLS):
        with drains(tmp_path / "worker.log"):
            eventually(
                lambda wanted=(kill + 1) * TASKS // (KILLS + 2): counted("submitted") >= wanted,
                seconds=30,
                every=0.005,
                what="the drains get on",
            )
            time.sleep(chance.uniform(0, 0.02))
    before = counted("submitted")
    assert before < TASKS, "the last kill came too late to be one"
    with drains(tmp_path / "worker.log"):
        eventually(lambda: counted("submitted") == TASKS, seconds=60, what="all submitted")
    say(f"{KILLS} kills of {WORKERS} drains, {before} of {TASKS} submitted before the last")
    # Then each task went on from where it was: no step was lost, and none was taken twice
    run_drains()
    log = Counter(Event.objects.values_list("type", flat=True))
    assert set(log.values()) == {TASKS}, log
    assert Task.objects.filter(status="completed").count() == TASKS
    assert Evidence.objects.filter(is_submitted=True).count() == TASKS
    assert SimulatedStep.objects.count() == 0
    workers = Worker.objects.filter(organisation_id=sandbox_of(house))
    assert set(workers.values_list("load", flat=True)) == {0}
    assert_events_are_gap_free()


def own_pool(test: object) -> str:
    (pool,) = test.get("/v1/pools").json()["data"]  # type: ignore[attr-defined]
    return str(pool["pool_id"])


def counted(name: str) -> int:
    return Event.objects.filter(type=f"task.{name}").count()


@contextmanager
def drains(log: Path) -> Iterator[None]:
    """Run the workers, which end by `kill -9`."""
    with log.open("ab") as out, ExitStack() as stack:
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", WORKER, connection.settings_dict["NAME"]],
                cwd=PROJECT,
                env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            for _ in range(WORKERS)
        ]
        for worker in workers:
            stack.callback(worker.wait)
            stack.callback(worker.kill)
        yield
        ended = [worker for worker in workers if worker.poll() is not None]
        assert not ended, log.read_text(errors="replace")[-4000:]
