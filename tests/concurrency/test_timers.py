"""Several drains of timers at once, and locked tasks: no drain waits, no event is written twice."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction

from apps.base import clock
from apps.events.models import Event
from apps.tasks.models import Task
from apps.timers import services
from apps.timers.models import Timer
from apps.timers.services import fire_due
from tests.concurrency.test_races import drained, everything_holds
from tests.concurrency.together import PATIENCE_SECONDS, _run, together
from tests.factories import House

BATCH = 7
LATENCY = {"target_latency_seconds": 60}
AT_RISK = timedelta(seconds=48)
LATE = timedelta(seconds=60)
AGAIN = timedelta(seconds=services.RETRY_SECONDS)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "BATCH", BATCH)


def said() -> Counter[tuple[UUID, str]]:
    log = Event.objects.filter(type__startswith="task.sla_")
    return Counter(log.values_list("task_id", "type"))


@contextmanager
def locked(*task_ids: UUID) -> Iterator[Callable[[], None]]:
    """Lock these tasks in another transaction until the block ends, or the yielded call."""
    is_locked, may_end = threading.Event(), threading.Event()

    @transaction.atomic
    def hold() -> None:
        assert len(Task.objects.locked().filter(id__in=task_ids)) == len(task_ids)
        is_locked.set()
        assert may_end.wait(PATIENCE_SECONDS)

    with ThreadPoolExecutor(1) as thread:
        holding = thread.submit(_run, hold)
        assert is_locked.wait(PATIENCE_SECONDS)
        try:
            yield may_end.set
        finally:
            may_end.set()
        holding.result(PATIENCE_SECONDS)


def test_drains__share_the_work_and_say_each_thing_once(house: House, small_batches: None) -> None:
    at = clock.now()
    sla = {**LATENCY, "deadline": (at + timedelta(seconds=61)).isoformat()}
    made = [house.task(at=at, sla=sla).id for _ in range(5 * BATCH)]
    for moment in (at + timedelta(seconds=50), at + timedelta(seconds=90)):
        together(*[drained(moment)] * 4)
        # Two clocks of one task may meet: the one that finds it locked is put back.
        drained(moment + timedelta(seconds=services.TIMEOUT_RETRY_SECONDS))()
    types = ("task.sla_at_risk", "task.sla_breached")
    assert said() == {(task_id, name): 2 for task_id in made for name in types}
    assert Timer.objects.count() == 0
    everything_holds()


def test_a_task_that_somebody_has__is_passed_over_and_comes_next(house: House) -> None:
    at = clock.now()
    made = [house.task(at=at, sla=LATENCY).id for _ in range(4)]
    with locked(made[1]):
        assert fire_due(at=at + AT_RISK) == 4
        assert said() == {
            (task_id, "task.sla_at_risk"): 1 for task_id in made if task_id != made[1]
        }
        assert Timer.objects.get(subject_id=made[1]).due_at == at + AT_RISK + AGAIN
    assert fire_due(at=at + AT_RISK + AGAIN) == 1
    assert said()[made[1], "task.sla_at_risk"] == 1


def test_where_somebody_has_all_tasks__none_is_waited_for(house: House) -> None:
    at = clock.now()
    made = [house.task(at=at, sla=LATENCY).id for _ in range(3)]
    with locked(*made):
        assert fire_due(at=at + LATE) == 3
        assert said() == {}
        assert fire_due(at=at + LATE) == 0
    assert fire_due(at=at + LATE + AGAIN) == 3
    assert said() == {(task_id, "task.sla_breached"): 1 for task_id in made}


def test_a_timer_alone_whose_task_somebody_has__is_put_back(house: House) -> None:
    at = clock.now()
    made = house.task(at=at, sla=LATENCY).id
    with locked(made):
        assert fire_due(at=at + LATE) == 1
    assert said() == {}
    assert Timer.objects.get().due_at == at + LATE + AGAIN
