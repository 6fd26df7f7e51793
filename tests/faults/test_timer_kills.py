"""Drains of timers are killed repeatedly during their batches: each SLA clock is reported once.

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
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.db import connection

from apps.base import clock
from apps.base.rows import batched
from apps.events.models import Event
from apps.tasks.models import Task
from apps.timers.models import Timer
from tests.factories import House
from tests.faults.installation import PROJECT, eventually, say
from tests.probes import assert_events_are_gap_free

TASKS = 600
WORKERS = 2
KILLS = 5
LATENCY_SECONDS = 600
WORKER = "tests.faults.timer_worker"


def test_kills__every_clock_is_reported_once(house: House, tmp_path: Path) -> None:
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(10**6))
    say(f"FAULTS_SEED={seed}")
    chance = random.Random(seed)
    # Given clocks that all are due, of one half at risk and of the other late
    at_risk, late = (written(house, ago) for ago in (LATENCY_SECONDS - 60, LATENCY_SECONDS + 60))
    # When those who tell of them are killed meanwhile
    for kill in range(KILLS):
        with drains(tmp_path / "worker.log"):
            eventually(
                lambda wanted=(kill + 1) * TASKS // (KILLS + 2): reported() >= wanted,
                seconds=20,
                every=0.005,
                what="the drains get on",
            )
            time.sleep(chance.uniform(0, 0.02))
    before = reported()
    assert before < TASKS, "the last kill came too late to be one"
    with drains(tmp_path / "worker.log"):
        eventually(lambda: reported() == TASKS, seconds=20, what="all reported")
    say(f"{KILLS} kills of {WORKERS} drains, {before} of {TASKS} reported before the last")
    # Then each was reported once, in logs without gaps; only tasks that may be late are watched
    log = Event.objects.exclude(type="task.created").values_list("task_id", "type")
    assert Counter(log) == Counter(
        [(task_id, "task.sla_at_risk") for task_id in at_risk]
        + [(task_id, "task.sla_breached") for task_id in late]
    )
    assert_events_are_gap_free()
    left = set(Timer.objects.filter(claim_token=None).values_list("subject_id", "due_at"))
    assert left == {(task.id, task.latency_due_at) for task in Task.objects.filter(id__in=at_risk)}
    assert Timer.objects.count() == len(at_risk)


def written(house: House, ago: int) -> list[UUID]:
    """Create half of the tasks, as of some seconds ago."""
    at = clock.now() - timedelta(seconds=ago)
    sla = {"target_latency_seconds": LATENCY_SECONDS}
    with batched():
        return [house.task(at=at, sla=sla).id for _ in range(TASKS // 2)]


def reported() -> int:
    return Event.objects.exclude(type="task.created").count()


@contextmanager
def drains(log: Path) -> Iterator[None]:
    """Lives of the workers, which end by `kill -9`."""
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
