"""Test what is told of past work: a worker's history and statistics, and how long tasks take."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from apps.base import clock
from apps.matching.models import Offer
from apps.matching.services import accept_offer, match_queued
from apps.tasks import selectors, services
from apps.tasks.models import ReturnedRun, Run, Task
from apps.timers.services import fire_due
from tests.api.expect import faults
from tests.api.steps import act
from tests.factories import OUTPUT, Caller, House, tasks_submission, worker_in

MINUTE = timedelta(minutes=1)


def worked(house: House, seconds: float, at: datetime | None = None, **changes: Any) -> Task:
    """Return a task that Bob completed in so many seconds."""
    run = house.started(at=at, **changes)
    began = at or clock.now()
    Run.objects.filter(id=run.id).update(started_at=began)
    Task.objects.filter(id=run.task_id).update(started_at=began)
    services.submit_run(
        actor=house.bob.principal,
        run_id=run.id,
        submission=tasks_submission(run.epoch, OUTPUT),
        at=began + timedelta(seconds=seconds),
    )
    from apps.reviews.services import verify_submitted

    assert verify_submitted() == 1
    return Task.objects.get(id=run.task_id)


def history(caller: Caller, query: str = "") -> Any:
    answer = caller.get(f"/v1/workers/me/history{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def statistics(caller: Caller, query: str = "") -> Any:
    answer = caller.get(f"/v1/workers/me/statistics{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


# --- history ------------------------------------------------------------------------------------


def test_history__has_ended_runs_newest_first(house: House) -> None:
    done = house.completed(title="Done")
    failing = house.started(title="Failing")
    services.fail_run(
        actor=house.bob.principal, run_id=failing.id, epoch=1, error="no line", at=clock.now()
    )
    house.alice.post(f"/v1/tasks/{failing.task_id}/cancel")
    cancelled = house.started(title="Cancelled")
    house.alice.post(f"/v1/tasks/{cancelled.task_id}/cancel")
    house.started(title="Held")
    shown = history(house.bob)["data"]
    assert [(run["task"]["title"], run["status"]) for run in shown] == [
        ("Cancelled", "canceled"),
        ("Failing", "failed"),
        ("Done", "completed"),
    ]
    assert shown[-1]["task"] == {
        "task_id": str(done.id),
        "status": "completed",
        "task_type": "verification",
        "domain": "security",
        "title": "Done",
    }


def test_history__is_the_callers_own(house: House) -> None:
    house.completed()
    _, carol = worker_in(house.pool)
    assert history(carol)["data"] == []


def test_history__by_pages(house: House) -> None:
    made = [str(house.completed(title=f"{number}").id) for number in range(5)]
    ids, query = [], "?limit=2"
    while query:
        page = history(house.bob, query)
        ids += [run["task"]["task_id"] for run in page["data"]]
        query = f"?limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert ids == made[::-1]


def test_history__of_a_purged_task_has_no_title(house: House) -> None:
    task = house.completed(title="Secret")
    services.purge_tasks_now(task_ids=[task.id], at=clock.now())
    (run,) = history(house.bob)["data"]
    assert (run["status"], run["task"]["title"]) == ("completed", "")


# --- statistics ---------------------------------------------------------------------------------


def test_statistics__of_a_new_worker(house: House) -> None:
    shown = statistics(house.bob)
    since = datetime.fromisoformat(shown.pop("since"))
    assert abs(clock.now() - timedelta(days=30) - since) < MINUTE
    assert shown == {
        "completed": 0,
        "returned": 0,
        "missed_lease": 0,
        "on_time_share": None,
        "median_seconds": None,
    }


def test_statistics__count_what_the_worker_did(house: House) -> None:
    at = clock.now()
    worked(house, 100)
    # In time by the deadline, and late by the target latency, the earlier of both clocks.
    deadline = (at + timedelta(hours=2)).isoformat()
    worked(house, 500, sla={"deadline": deadline})
    worked(house, 3000, sla={"deadline": deadline, "target_latency_seconds": 2000})
    worked(house, 300, sla={"target_latency_seconds": 2000})
    shown = statistics(house.bob)
    assert (shown["completed"], shown["median_seconds"]) == (4, 400)
    assert shown["on_time_share"] == pytest.approx(2 / 3)


def test_statistics__count_what_came_back(house: House) -> None:
    act(house.bob, house.started(), "release")
    run = house.accepted(title="Another")
    assert run.lease_until is not None
    fire_due(at=run.lease_until + MINUTE)
    shown = statistics(house.bob, f"?since={(clock.now() - MINUTE).strftime('%Y-%m-%dT%H:%M:%SZ')}")
    assert (shown["completed"], shown["returned"], shown["missed_lease"]) == (0, 1, 1)
    rows = ReturnedRun.objects.order_by("id").values_list("way", "epoch", "worker_id")
    assert [*rows] == [("released", 1, house.bobs_worker.id), ("lapsed", 1, house.bobs_worker.id)]


def test_statistics__each_claim_of_a_run_counts(house: House) -> None:
    run = house.accepted()
    at = clock.now()
    for hours in (2, 4):
        services.release_run(
            actor=house.bob.principal, run_id=run.id, epoch=run.epoch, reason="", at=at
        )
        at += timedelta(hours=hours)
        assert match_queued(at=at) == 1
        offer = Offer.objects.get(status="open")
        run = accept_offer(actor=house.bob.principal, offer_id=offer.id, at=at)
    assert statistics(house.bob)["returned"] == 2
    assert [*ReturnedRun.objects.values_list("epoch", flat=True)] == [1, 2]


def test_statistics__since_a_time(house: House) -> None:
    worked(house, 10, at=clock.now() - timedelta(days=3))
    worked(house, 20)
    week, day = (clock.now() - timedelta(days=days) for days in (7, 1))
    text = "%Y-%m-%dT%H:%M:%SZ"
    assert statistics(house.bob, f"?since={week.strftime(text)}")["completed"] == 2
    shown = statistics(house.bob, f"?since={day.strftime(text)}")
    assert (shown["completed"], shown["median_seconds"]) == (1, 20)


@pytest.mark.parametrize("query", ["since=yesterday", "since=", "until=2026-01-01T00:00:00Z"])
def test_statistics__of_another_query_is_refused(house: House, query: str) -> None:
    assert faults(house.bob.get(f"/v1/workers/me/statistics?{query}"))


# --- how long tasks take ------------------------------------------------------------------------


def typical(house: House, *types: str) -> dict[str, int]:
    return selectors.typical_seconds(organisation_id=house.organisation.id, task_types=types)


def test_typical_seconds__is_the_median_of_a_type(house: House) -> None:
    for seconds in (10, 1000, 40):
        worked(house, seconds)
    for seconds in (5, 6):
        worked(house, seconds, task_type="call")
    assert typical(house, "verification", "call", "unknown") == {"verification": 40}
    worked(house, 7, task_type="call")
    assert typical(house, "call", "call") == {"call": 6}
    assert typical(house) == {}


def test_typical_seconds__of_the_last_50(house: House) -> None:
    now = clock.now()
    for number in range(53):
        worked(house, 1 if number < 30 else 60, at=now - timedelta(days=1) + number * MINUTE)
    assert typical(house, "verification") == {"verification": 1}
    for number in range(5):
        worked(house, 60, at=now + number * MINUTE)
    assert typical(house, "verification") == {"verification": 60}


def test_typical_seconds__of_the_organisation_only(house: House) -> None:
    for _ in range(3):
        worked(house, 10)
    strangers = house.strangers_pool.organisation_id
    found = selectors.typical_seconds(organisation_id=strangers, task_types=["verification"])
    assert found == {}


def test_typical_seconds__reads_an_index(house: House) -> None:
    for _ in range(3):
        worked(house, 10)
    params = {"organisation_id": house.organisation.id, "task_types": ["verification"]}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {selectors.history.TYPICAL_SECONDS}", params)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "task_completed_of_type" in plan, plan
