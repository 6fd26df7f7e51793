"""Runs of `/api` that no session claims: the steps of starvation, and who is left out."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.base import clock
from apps.operations.models import LogEntry, RunDetails
from apps.operations.services import step_starved
from apps.operations.services.starvation import ATTENTION, CYCLE_SECONDS, REPORT
from apps.tasks.models import Run, Task
from config.ticker import SWEEPS
from tests.concurrency.together import together
from tests.factories import House
from tests.operator_steps import Desk, desk_of

CYCLE = timedelta(seconds=CYCLE_SECONDS)


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


def starving(desk: Desk, house: House, **fields: Any) -> str:
    """Return a run that has been queued for two minutes."""
    task = desk.task(scope="workspace", workspace=house.pool.name, **fields)
    run_id: str = desk.started(task["id"])["id"]
    age(run_id)
    return run_id


def age(run_id: str) -> None:
    queued_at = clock.now() - timedelta(minutes=2)
    Run.objects.filter(id=run_id).update(queued_at=queued_at)
    Task.objects.filter(runs__id=run_id).update(run_queued_at=queued_at)


def count_of(run_id: str) -> int:
    return RunDetails.objects.get(run_id=run_id).starvation_count


def logged() -> list[str]:
    found = LogEntry.objects.filter(actor_kind="daemon").order_by("sequence")
    return list(found.values_list("type", flat=True))


def cycles(number: int) -> datetime:
    """Take steps in as many cycles. Return the time of the last one."""
    at = clock.now()
    for _ in range(number):
        at += CYCLE
        step_starved(at=at)
    return at


def test_sweep__runs_each_cycle() -> None:
    assert SWEEPS["starvation"][0] == CYCLE_SECONDS == 15


def test_steps__from_the_first_to_needs_attention(house: House, desk: Desk) -> None:
    run_id = starving(desk, house)
    cycles(REPORT - 1)
    assert (count_of(run_id), logged()) == (5, [])
    RunDetails.objects.update(starvation_at=None)
    cycles(1)
    assert (count_of(run_id), logged()) == (6, ["task.run_starved"])
    RunDetails.objects.update(starvation_at=None)
    cycles(ATTENTION - REPORT - 1)
    assert (count_of(run_id), logged()) == (9, ["task.run_starved"])
    assert Run.objects.get(id=run_id).status == "queued"
    RunDetails.objects.update(starvation_at=None)
    at = cycles(1)
    run = Run.objects.select_related("task").get(id=run_id)
    seconds = int((at - run.queued_at).total_seconds())
    assert run.status == "needs_attention"
    assert run.error == f"No session claimed the run within {seconds} seconds."
    assert (run.task.status, run.task.run_queued_at, count_of(run_id)) == ("created", None, 0)
    assert logged() == ["task.run_starved", "task.run_needs_attention"]
    starved, shelved = LogEntry.objects.filter(actor_kind="daemon").order_by("sequence")
    assert starved.payload.keys() == {"status", "task_status", "queued_at", "queued_age_ms"}
    assert shelved.payload["previous_status"] == "queued"
    assert (shelved.origin_kind, shelved.origin_ref) == ("daemon", "scheduler")
    assert desk.agent(house).claim().status_code == 204
    state = desk.get("/scheduler").json()["scheduler"]
    assert (state["needs_attention_run_count"], state["queued_run_count"]) == (1, 0)
    assert step_starved(at=at + CYCLE) == 0


def test_step__is_not_taken_before_two_minutes(house: House, desk: Desk) -> None:
    run_id = starving(desk, house)
    queued_at = Run.objects.get(id=run_id).queued_at
    just_before = queued_at + timedelta(seconds=120) - timedelta(microseconds=1)
    assert step_starved(at=just_before) == 0
    assert step_starved(at=queued_at + timedelta(seconds=120)) == 1


def test_step__is_taken_once_in_a_cycle(house: House, desk: Desk) -> None:
    run_id = starving(desk, house)
    at = clock.now()
    assert [step_starved(at=at + timedelta(seconds=s)) for s in (0, 1, 9, 15, 16)] == [
        1,
        0,
        0,
        1,
        0,
    ]
    assert count_of(run_id) == 2


@pytest.mark.parametrize("before", [0, REPORT - 1, ATTENTION - 1])
def test_step__is_taken_by_one_of_two_tickers(house: House, desk: Desk, before: int) -> None:
    run_id = starving(desk, house)
    RunDetails.objects.update(starvation_count=before)
    at = clock.now()
    assert sum(together(*[lambda: step_starved(at=at)] * 4)) == 1
    assert count_of(run_id) == (before + 1) % ATTENTION
    assert len(logged()) == (before > 0)


@pytest.mark.parametrize("count", [3, REPORT - 1, ATTENTION - 1])
@pytest.mark.parametrize("way", ["own", "above", "scheduler", "blocked", "canceled"])
def test_step__is_not_taken_of_what_is_not_handed_out(
    house: House, desk: Desk, way: str, count: int
) -> None:
    place = {"scope": "workspace", "workspace": house.pool.name}
    above = desk.task(**place)["id"]
    child = desk.post(f"/tasks/{above}/children", title="Below", **place).json()["task"]["id"]
    run_id = desk.started(child)["id"]
    age(run_id)
    RunDetails.objects.update(starvation_count=count)
    match way:
        case "own" | "above":
            paused = child if way == "own" else above
            assert desk.post(f"/tasks/{paused}/pause", reason="x").status_code == 200
        case "scheduler":
            assert desk.post("/scheduler/pause").status_code == 200
        case "blocked":
            answer = desk.post(f"/tasks/{child}/dependencies", depends_on_task_id=desk.task()["id"])
            assert answer.status_code == 200
        case "canceled":
            assert desk.post(f"/tasks/{child}/cancel").status_code == 200
    assert step_starved() == 0
    assert (count_of(run_id), logged()) == (count, [])


def test_step__goes_on_after_a_pause(house: House, desk: Desk) -> None:
    run_id = starving(desk, house)
    desk.post("/scheduler/pause")
    assert step_starved() == 0
    desk.post("/scheduler/resume")
    assert step_starved() == 1
    assert count_of(run_id) == 1


def test_pause__of_another_organisation_does_not_count(house: House, desk: Desk) -> None:
    starving(desk, house)
    desk_of(House.build()).post("/scheduler/pause")
    assert step_starved() == 1


def test_step__is_not_taken_of_tasks_of_other_apis(house: House) -> None:
    house.queued(at=clock.now() - timedelta(hours=1))
    assert step_starved() == 0


def test_claim__begins_the_count_anew(house: House, desk: Desk) -> None:
    run_id = starving(desk, house)
    cycles(4)
    agent = desk.agent(house)
    agent.claimed()
    assert count_of(run_id) == 0
    assert step_starved(at=clock.now() + timedelta(hours=1)) == 0
    assert agent.on(run_id, "release").status_code == 200
    # It has kept its place, and so its age.
    assert step_starved(at=clock.now() + timedelta(hours=1)) == 1
    assert count_of(run_id) == 1


@pytest.mark.parametrize("count", [REPORT - 1, ATTENTION - 1])
def test_step__leaves_a_task_that_is_locked(house: House, desk: Desk, count: int) -> None:
    run_id = starving(desk, house)
    RunDetails.objects.update(starvation_count=count)
    with transaction.atomic():
        Task.objects.locked().get(runs__id=run_id)
        assert together(step_starved) == [0]
    assert count_of(run_id) == count
    assert step_starved() == 1


def test_steps__of_many_are_taken_in_parts(
    house: House, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "apps.operations.services.starvation"
    monkeypatch.setattr(f"{module}.COUNTED_AT_ONCE", 2)
    monkeypatch.setattr(f"{module}.HANDLED_AT_ONCE", 1)
    runs = [starving(desk, house) for _ in range(5)]
    RunDetails.objects.filter(run_id__in=runs[3:]).update(starvation_count=ATTENTION - 1)
    at = clock.now()
    assert [step_starved(at=at) for _ in range(3)] == [3, 2, 0]
    assert sorted(count_of(run_id) for run_id in runs) == [0, 0, 1, 1, 1]
