"""The SLA clocks: at risk once four fifths have passed, late once all has; each is said once."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts import principal
from apps.base import clock
from apps.events.models import Event
from apps.reviews.services import verify_submitted
from apps.tasks.models import Task
from apps.tasks.services import cancel_task, reopen_task
from apps.tasks.services.sla import Clock, watch_sla
from apps.timers.models import Timer
from apps.timers.services import fire_due
from apps.webhooks.models import Delivery
from biolayer.lifecycle import EventType, Status
from biolayer.times import format_time
from tests.factories import House
from tests.probes import verify_nothing_changed, verify_transition

MINUTE = timedelta(minutes=1)
LATENCY = {"target_latency_seconds": 600}
"""At risk after eight minutes, late after ten."""


def both(at: datetime) -> dict[str, Any]:
    """Both clocks run from `at` for ten minutes."""
    return {**LATENCY, "deadline": (at + 10 * MINUTE).isoformat()}


def said(task_id: UUID) -> list[str]:
    """What the task's log says of its clocks."""
    log = Event.objects.filter(task_id=task_id, type__startswith="task.sla_").order_by("sequence")
    return [event.type.removeprefix("task.sla_") for event in log]


def set_for() -> list[datetime]:
    return list(Timer.objects.order_by("due_at").values_list("due_at", flat=True))


def cancel(house: House, task: Task, at: datetime) -> None:
    cancel_task(actor=house.alice.principal, task_id=task.id, reason="", at=at)


# --- at risk -------------------------------------------------------------------------------


@pytest.mark.parametrize("clock_name", list(Clock))
@pytest.mark.parametrize("state", ["task", "queued", "offered", "accepted", "started", "submitted"])
def test_watch_sla__warns_once_and_work_goes_on(
    house: House, state: str, clock_name: Clock
) -> None:
    made = getattr(house, state)(sla=both(clock.now()))
    task = Task.objects.get(id=getattr(made, "task_id", made.id))
    assert task.deadline is not None
    due_at = task.deadline if clock_name is Clock.DEADLINE else task.created_at + 10 * MINUTE
    at_risk_at = task.created_at + (due_at - task.created_at) * 0.8
    late_by = timedelta(seconds=1)

    def watch(at: datetime) -> Callable[[], datetime | None]:
        return lambda: watch_sla(task_id=task.id, clock=clock_name, at=at)

    early = watch(at_risk_at - late_by)
    assert verify_nothing_changed(task.id, early) == at_risk_at
    warn = watch(at_risk_at + late_by)
    again_at = verify_transition(task.id, warn, event=EventType.SLA_AT_RISK, to=Status(task.status))
    assert again_at == due_at
    assert verify_nothing_changed(task.id, warn) == due_at
    assert Event.objects.get(task_id=task.id, type=EventType.SLA_AT_RISK).data == {
        "clock": clock_name.value,
        "at_risk_at": format_time(at_risk_at),
        "due_at": format_time(due_at),
        "detected_at": format_time(at_risk_at + late_by),
    }


def test_each_clock_warns_and_breaches_by_its_one_timer(house: House) -> None:
    at = clock.now()
    deadline = at + 20 * MINUTE
    task = house.task(at=at, sla={**LATENCY, "deadline": deadline.isoformat()})
    assert set_for() == [at + 8 * MINUTE, at + 16 * MINUTE]
    assert fire_due(at=at + 8 * MINUTE) == 1
    assert set_for() == [at + 10 * MINUTE, at + 16 * MINUTE]
    for minutes in (10, 16, 20):
        assert fire_due(at=at + minutes * MINUTE) == 1
    assert said(task.id) == ["at_risk", "breached", "at_risk", "breached"]
    assert (set_for(), fire_due(at=at + 60 * MINUTE)) == ([], 0)


def test_a_late_drain_says_late_and_not_at_risk(house: House) -> None:
    at = clock.now()
    task = house.task(at=at, sla=LATENCY)
    assert fire_due(at=at + 10 * MINUTE) == 1
    assert said(task.id) == ["breached"]
    assert watch_sla(task_id=task.id, clock=Clock.TARGET_LATENCY, at=at + 9 * MINUTE) is None
    assert said(task.id) == ["breached"]


@pytest.mark.parametrize("minutes", [7, 9])
def test_a_task_that_ends_in_time_says_nothing(house: House, minutes: int) -> None:
    """Not even when the drain had no time for it after four fifths of its own."""
    at = clock.now()
    task = house.task(at=at, sla=both(at))
    cancel(house, task, at + minutes * MINUTE)
    assert (fire_due(at=at + 60 * MINUTE), said(task.id)) == (0, [])


def test_a_task_that_ends_late_says_late_and_not_at_risk(house: House) -> None:
    at = clock.now()
    task = house.task(at=at, sla=LATENCY)
    cancel(house, task, at + 11 * MINUTE)
    assert said(task.id) == ["breached"]


def test_a_verified_task_that_is_at_risk_completes(house: House) -> None:
    run = house.submitted(sla=both(clock.now()))
    fire_due(at=clock.now() + 9 * MINUTE)
    assert verify_submitted() == 1
    assert said(run.task_id) == ["at_risk", "at_risk"]
    assert Timer.objects.exclude(kind="retention").count() == 0


# --- reopened ------------------------------------------------------------------------------


def reopen(house: House, task: Task, at: datetime) -> None:
    actor = principal.system("test", house.organisation.id)
    reopen_task(actor=actor, task_id=task.id, reason="wrong person", at=at)


def test_reopened__before_the_risk_it_is_set_anew(house: House) -> None:
    task = house.completed(sla=LATENCY)
    reopen(house, task, task.created_at + MINUTE)
    assert set_for() == [task.created_at + 8 * MINUTE]


def test_reopened__at_risk_it_is_said_now(house: House) -> None:
    task = house.completed(sla=LATENCY)
    reopen(house, task, task.created_at + 9 * MINUTE)
    assert fire_due(at=task.created_at + 9 * MINUTE) == 1
    assert (said(task.id), set_for()) == (["at_risk"], [task.created_at + 10 * MINUTE])


def test_reopened__what_was_said_is_not_said_again(house: House) -> None:
    run = house.submitted(sla=LATENCY)
    begin = run.task.created_at
    fire_due(at=begin + 9 * MINUTE)
    assert verify_submitted() == 1
    reopen(house, run.task, begin + 9 * MINUTE)
    assert set_for() == [begin + 10 * MINUTE]
    fire_due(at=begin + 10 * MINUTE)
    assert said(run.task_id) == ["at_risk", "breached"]


# --- many ----------------------------------------------------------------------------------


def statements_of(call: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as captured:
        call()
    return sum(query["sql"] not in ("BEGIN", "COMMIT") for query in captured.captured_queries)


def test_many_clocks__take_as_many_statements_as_two(house: House) -> None:
    at = clock.now()
    made = [house.task(at=at, sla=LATENCY).id for _ in range(2)]
    few = statements_of(lambda: fire_due(at=at + 8 * MINUTE))
    made += [house.task(at=at, sla=LATENCY).id for _ in range(30)]
    many = statements_of(lambda: fire_due(at=at + 8 * MINUTE))
    # The claim, the tasks, what is said, the timers.
    assert (few, many) == (4, 4)
    assert all(said(task_id) == ["at_risk"] for task_id in made)
    assert set_for() == [at + 10 * MINUTE] * 32
    fire_due(at=at + 10 * MINUTE)
    assert all(said(task_id) == ["at_risk", "breached"] for task_id in made)
    assert set_for() == []


def test_many_clocks__of_tasks_in_different_states(house: House) -> None:
    """Closed, warned and breached before; what is due is said of each as if it were alone."""
    at = clock.now()
    warned, fresh, ended, late = (house.task(at=at, sla=LATENCY) for _ in range(4))
    watch_sla(task_id=warned.id, clock=Clock.TARGET_LATENCY, at=at + 8 * MINUTE)
    watch_sla(task_id=late.id, clock=Clock.TARGET_LATENCY, at=at + 10 * MINUTE)
    gone = Timer.objects.get(subject_id=ended.id)
    cancel(house, ended, at)
    gone.save(force_insert=True)
    assert fire_due(at=at + 9 * MINUTE) == 4
    events = {task.id: said(task.id) for task in (warned, fresh, ended, late)}
    assert events == {
        warned.id: ["at_risk"],
        fresh.id: ["at_risk"],
        ended.id: [],
        late.id: ["breached"],
    }
    left = Timer.objects.exclude(kind="retention").values_list("subject_id", "due_at")
    assert dict(left) == dict.fromkeys([warned.id, fresh.id], at + 10 * MINUTE)


# --- deliveries ----------------------------------------------------------------------------


def test_a_callback__is_told_that_it_is_late_and_never_that_it_is_at_risk(house: House) -> None:
    handoff = {"callback_url": "http://127.0.0.1:9/hook"}
    at = clock.now()
    task = house.task(at=at, sla=LATENCY, handoff=handoff)
    for minutes in (8, 10):
        fire_due(at=at + minutes * MINUTE)
    assert said(task.id) == ["at_risk", "breached"]
    deliveries = Delivery.objects.filter(destination_id=task.id).order_by("sequence")
    assert [delivery.event_type for delivery in deliveries] == ["task.created", "task.sla_breached"]
