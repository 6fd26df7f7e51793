"""What happens at the same time: threads, a connection each, and real commits.

Where the order matters it is forced: the calls queue up for the task's row in a known order. The
free-running races repeat a little, and judge by what must hold whichever call wins.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from apps.api.v1.representations.events import event as represented
from apps.base import clock
from apps.events.selectors import task_events
from apps.matching.models import Offer
from apps.matching.services import match_queued
from apps.pools.models import Worker
from apps.reviews.services import verify_submitted
from apps.tasks.models import RUN_FINAL, RUN_HELD, Run, Task
from apps.tasks.services import queue_created
from apps.timers.models import Timer
from apps.timers.services import RETRY_SECONDS, TIMEOUT_RETRY_SECONDS, fire_due
from biolayer import chain
from tests.concurrency.together import PATIENCE_SECONDS, _run, queued_up, together
from tests.factories import OUTPUT, Caller, House, contract, worker_in

# On a busy machine a refusal by NOWAIT may take as long as a timeout.
AGAIN = timedelta(seconds=max(RETRY_SECONDS, TIMEOUT_RETRY_SECONDS))

Call = Callable[[], Any]


def everything_holds() -> None:
    """Assert what must be true at rest, whichever call won.

    Logs are intact and give the row; one open run, one open offer; a worker's load is what it has.
    """
    for task in Task.objects.all():
        log = [represented(event).model_dump(mode="json") for event in task_events(task_id=task.id)]
        assert chain.first_broken(log) is None
        assert (len(log), log[-1]["status"]) == (task.version, task.status)
        is_offered = task.status == "offered"
        assert Offer.objects.filter(task=task, status="open").count() == is_offered
        assert Run.objects.filter(task=task).exclude(status__in=RUN_FINAL).count() <= 1
        held = Run.objects.filter(task=task, status__in=RUN_HELD).count()
        assert held == (task.status in ("accepted", "started"))
    for worker in Worker.objects.all():
        has = Offer.objects.filter(worker=worker, status="open").count()
        has += Run.objects.filter(worker=worker, status__in=RUN_HELD).count()
        assert worker.load == has <= worker.capacity


def post(caller: Caller, path: str, body: Any = None) -> Call:
    """The call, from a client of its own."""
    return lambda: Caller(caller.key).post(path, body)


def cancel(house: House, task_id: UUID) -> Call:
    return post(house.alice, f"/v1/tasks/{task_id}/cancel")


def accept(house: House, offer: Offer) -> Call:
    return post(house.bob, f"/v1/offers/{offer.id}/accept")


def submit(house: House, run: Run) -> Call:
    return post(house.bob, f"/v1/runs/{run.id}/submit", {"epoch": run.epoch, "output": OUTPUT})


def outcome(response: Any) -> Any:
    """200, or the refusal's code."""
    return 200 if response.status_code == 200 else response.json()["code"]


def events(task_id: UUID) -> Counter[str]:
    return Counter(event.type.removeprefix("task.") for event in task_events(task_id=task_id))


# --- two calls about one task --------------------------------------------------------------


@pytest.mark.parametrize("first", ["accept", "cancel"])
def test_accept_and_cancel__in_order(house: House, first: str) -> None:
    offer = house.offered()
    calls = [accept(house, offer), cancel(house, offer.task_id)]
    if first == "cancel":
        calls.reverse()
    with queued_up(*calls, behind="tasks_task", key=offer.task_id) as waiting:
        pass
    answers = [outcome(future.result()) for future in waiting]
    assert answers == ([200, 200] if first == "accept" else [200, "offer_closed"])
    assert events(offer.task_id)["cancelled"] == 1
    assert events(offer.task_id)["accepted"] == (first == "accept")
    everything_holds()
    assert Worker.objects.get(id=house.bobs_worker.id).load == 0


def test_accept_and_accept__one_wins(house: House) -> None:
    offer = house.offered()
    for _ in range(2):
        answers = together(*[accept(house, offer)] * 6)
        assert Counter(map(outcome, answers))["offer_closed"] >= 5
    assert events(offer.task_id)["accepted"] == 1
    assert Run.objects.get(task_id=offer.task_id).epoch == 1
    everything_holds()


@pytest.mark.parametrize("first", ["accept", "decline"])
def test_accept_and_decline__first_one_counts(house: House, first: str) -> None:
    offer = house.offered()
    calls = [accept(house, offer), post(house.bob, f"/v1/offers/{offer.id}/decline")]
    if first == "decline":
        calls.reverse()
    with queued_up(*calls, behind="tasks_task", key=offer.task_id) as waiting:
        pass
    assert [outcome(future.result()) for future in waiting] == [200, "offer_closed"]
    everything_holds()


def fired_meanwhile(at: datetime) -> None:
    """Timers fire while the task is locked: they are released, and wait for no lock."""
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(_run, lambda: fire_due(at=at)).result(PATIENCE_SECONDS) == 1


@pytest.mark.parametrize("first", ["accept", "expire"])
def test_accept_and_expiry__in_order(house: House, first: str) -> None:
    """The call came in time; the timer's drain is a moment ahead of its clock."""
    offer = house.offered()
    late = offer.expires_at + timedelta(seconds=1)
    if first == "expire":
        assert fire_due(at=late) == 1
    with queued_up(accept(house, offer), behind="tasks_task", key=offer.task_id) as waiting:
        if first == "accept":
            fired_meanwhile(late)
    fire_due(at=late + AGAIN)
    offer.refresh_from_db()
    if first == "accept":
        assert outcome(waiting[0].result()) == 200
        assert (offer.status, events(offer.task_id)["accepted"]) == ("accepted", 1)
    else:
        assert outcome(waiting[0].result()) in ("offer_closed", "offer_expired")
        assert (offer.status, events(offer.task_id)["accepted"]) == ("expired", 0)
    everything_holds()


@pytest.mark.parametrize("first", ["submit", "lapse"])
def test_submit_and_lapse__in_order(house: House, first: str) -> None:
    run = house.started()
    assert run.lease_until is not None
    late = run.lease_until + timedelta(seconds=1)
    if first == "lapse":
        assert fire_due(at=late) == 1
    with queued_up(submit(house, run), behind="tasks_task", key=run.task_id) as waiting:
        if first == "submit":
            fired_meanwhile(late)
    fire_due(at=late + AGAIN)
    task = Task.objects.get(id=run.task_id)
    if first == "submit":
        assert (outcome(waiting[0].result()), task.status) == (200, "submitted")
    else:
        assert (outcome(waiting[0].result()), task.status) == ("lease_lost", "queued")
    assert events(run.task_id)["submitted"] == (first == "submit")
    everything_holds()


@pytest.mark.parametrize("first", ["submit", "cancel"])
def test_submit_and_cancel__in_order(house: House, first: str) -> None:
    run = house.started()
    calls = [submit(house, run), cancel(house, run.task_id)]
    if first == "cancel":
        calls.reverse()
    with queued_up(*calls, behind="tasks_task", key=run.task_id) as waiting:
        pass
    answers = [outcome(future.result()) for future in waiting]
    refused = "illegal_transition" if first == "submit" else "lease_lost"
    assert answers == [200, refused]
    status = Task.objects.get(id=run.task_id).status
    assert status == ("submitted" if first == "submit" else "cancelled")
    everything_holds()


def test_submit_and_submit__one_counts(house: House) -> None:
    run = house.started()
    answers = together(*[submit(house, run)] * 6)
    # Each gets the same response: its output is the one that counts.
    assert Counter(map(outcome, answers)) == {200: 6}
    assert events(run.task_id)["submitted"] == 1
    everything_holds()


def test_cancel_and_cancel__one_event(house: House) -> None:
    run = house.started()
    answers = together(*[cancel(house, run.task_id)] * 6)
    assert [answer.status_code for answer in answers] == [200] * 6
    assert events(run.task_id)["cancelled"] == 1
    everything_holds()


def test_start_and_release__either_order(house: House) -> None:
    run = house.accepted()
    body = {"epoch": run.epoch}
    answers = together(
        post(house.bob, f"/v1/runs/{run.id}/start", body),
        post(house.bob, f"/v1/runs/{run.id}/release", body),
    )
    assert outcome(answers[1]) == 200
    assert outcome(answers[0]) in (200, "lease_lost")
    assert Task.objects.get(id=run.task_id).status == "queued"
    everything_holds()


def test_heartbeat_and_lapse__sign_of_life_in_time_keeps_the_lease(house: House) -> None:
    run = house.started()
    assert run.lease_until is not None
    late = run.lease_until + timedelta(milliseconds=1)
    body = {"epoch": run.epoch, "lease_seconds": 86_400}
    heartbeat = post(house.bob, f"/v1/runs/{run.id}/heartbeat", body)
    with queued_up(heartbeat, behind="tasks_task", key=run.task_id) as waiting:
        fired_meanwhile(late)
    assert outcome(waiting[0].result()) == 200
    fire_due(at=late + AGAIN)
    assert Task.objects.get(id=run.task_id).status == "started"
    timer = Timer.objects.get(subject_id=run.id)
    run.refresh_from_db()
    assert timer.due_at == run.lease_until
    everything_holds()


@pytest.mark.parametrize("_round", range(3))
def test_one_task__everybody_at_once(house: House, _round: int) -> None:
    """Accept, decline, cancel, expiry and a matcher, in any order."""
    offer = house.offered()
    worker_in(house.pool)
    late = offer.expires_at + timedelta(seconds=1)
    together(
        accept(house, offer),
        post(house.bob, f"/v1/offers/{offer.id}/decline"),
        cancel(house, offer.task_id),
        lambda: fire_due(at=late),
        match_queued,
        match_queued,
    )
    assert Task.objects.get(id=offer.task_id).status == "cancelled"
    everything_holds()


# --- many tasks, many workers --------------------------------------------------------------


@pytest.mark.parametrize(("tasks", "capacities"), [(12, [1, 1, 1]), (6, [3, 2, 1, 4]), (10, [10])])
def test_matchers__capacity_is_never_exceeded(
    house: House, tasks: int, capacities: list[int]
) -> None:
    Worker.objects.update(presence="offline")
    for capacity in capacities:
        worker_in(house.pool, capacity=capacity)
    for _ in range(tasks):
        house.task()
    assert queue_created() == tasks
    offered = sum(together(*[match_queued] * 6))
    everything_holds()
    # A worker locked by another matcher is skipped; the next pass finds him.
    offered += match_queued()
    assert offered == min(tasks, sum(capacities)) == Offer.objects.filter(status="open").count()
    everything_holds()


def test_intake__each_task_is_queued_once(house: House) -> None:
    made = [house.task().id for _ in range(12)]
    total = sum(together(*[queue_created] * 6))
    assert total + queue_created() == 12  # Rows are passed over while another drain has them.
    assert all(events(task_id)["queued"] == 1 for task_id in made)
    everything_holds()


def test_verification__each_task_is_verified_once(house: House) -> None:
    Worker.objects.update(capacity=10)
    made = [house.submitted().task_id for _ in range(6)]
    total = sum(together(*[verify_submitted] * 4))
    assert total + verify_submitted() == 6
    for task_id in made:
        assert (events(task_id)["verified"], events(task_id)["completed"]) == (1, 1)
    everything_holds()


# --- timers --------------------------------------------------------------------------------


PUT_BACK = timedelta(seconds=TIMEOUT_RETRY_SECONDS)
"""After so long a timer that found its row locked is fired again."""


def drained(at: datetime) -> Call:
    def drain() -> None:
        while fire_due(at=at):
            pass

    return drain


def test_timers__each_sla_clock_fires_once(house: House) -> None:
    sla = {
        "target_latency_seconds": 60,
        "deadline": (clock.now() + timedelta(seconds=30)).isoformat(),
    }
    made = [house.task(sla=sla).id for _ in range(10)]
    late = clock.now() + timedelta(minutes=2)
    together(*[drained(late)] * 6)
    drained(late + PUT_BACK)()
    for task_id in made:
        log = [represented(event).model_dump(mode="json") for event in task_events(task_id=task_id)]
        breaches = [event["data"] for event in log if event["type"] == "task.sla_breached"]
        assert sorted(breach["breach"] for breach in breaches) == ["deadline", "target_latency"]
        task = Task.objects.get(id=task_id)
        due = {"deadline": task.deadline, "target_latency": task.latency_due_at}
        for breach in breaches:
            assert datetime.fromisoformat(breach["due_at"]) == due[breach["breach"]]
            assert late <= datetime.fromisoformat(breach["detected_at"]) <= late + PUT_BACK
    assert Timer.objects.exclude(kind="retention").count() == 0
    everything_holds()


def test_timers__each_offer_expires_once(house: House) -> None:
    Worker.objects.update(capacity=10)
    made = [house.offered().task_id for _ in range(10)]
    late = clock.now() + timedelta(minutes=10)
    together(*[drained(late)] * 6)
    drained(late + PUT_BACK)()
    assert Offer.objects.filter(status="expired").count() == 10
    assert all(events(task_id)["queued"] == 2 for task_id in made)
    assert Timer.objects.exclude(kind="retention").count() == 0
    everything_holds()


def test_timers__each_lease_lapses_once(house: House) -> None:
    Worker.objects.update(capacity=10)
    made = [house.started().task_id for _ in range(10)]
    late = clock.now() + timedelta(hours=2)
    together(*[drained(late)] * 6)
    drained(late + PUT_BACK)()
    assert all(events(task_id)["queued"] == 2 for task_id in made)
    assert Run.objects.filter(status="queued", attempt=1).count() == 10
    assert Timer.objects.exclude(kind="retention").count() == 0
    everything_holds()


def test_timers__clock_and_completion_at_once(house: House) -> None:
    """A breach comes before the completion or not at all, never after it."""
    Worker.objects.update(capacity=10)
    made = [house.submitted(sla={"target_latency_seconds": 60}).task_id for _ in range(6)]
    late = clock.now() + timedelta(minutes=2)
    together(drained(late), drained(late), *[verify_submitted] * 3)
    verify_submitted()
    for task_id in made:
        types = [event.type for event in task_events(task_id=task_id)]
        assert types[-1] == "task.completed"
        assert types.count("task.sla_breached") <= 1
    everything_holds()


# --- a crowd -------------------------------------------------------------------------------


def crowded(house: House, workers: int) -> list[Caller]:
    Worker.objects.update(presence="offline")
    return [worker_in(house.pool, capacity=2)[1] for _ in range(workers)]


def backend(house: House, tasks: int) -> Call:
    """Post tasks, and cancel every third."""

    def work() -> None:
        for number in range(tasks):
            answer = Caller(house.alice.key).post("/v1/tasks", contract())
            assert answer.status_code == 201
            if number % 3 == 0:
                cancel(house, answer.json()["task_id"])()

    return work


def machine() -> None:
    """What the drains do, a little of each."""
    for _ in range(25):
        queue_created()
        match_queued()
        verify_submitted()


def working(caller: Caller, rounds: int = 15) -> Call:
    """Accept every offer and do its task; late calls are refused."""

    def work() -> None:
        me = Caller(caller.key)
        for _ in range(rounds):
            for offer in me.get("/v1/offers").json()["data"]:
                taken = me.post(f"/v1/offers/{offer['offer_id']}/accept")
                assert outcome(taken) in (200, "offer_closed")
                if taken.status_code == 200:
                    do(me, taken.json()["run"])

    return work


def do(me: Caller, run: dict[str, Any]) -> None:
    for verb, extra in ("start", {}), ("submit", {"output": OUTPUT}):
        done = me.post(f"/v1/runs/{run['run_id']}/{verb}", {"epoch": run["epoch"], **extra})
        assert outcome(done) in (200, "lease_lost")


def test_crowd__backends_workers_and_drains_together(house: House) -> None:
    crowd = crowded(house, workers=4)
    together(backend(house, tasks=12), machine, machine, *[working(each) for each in crowd])
    everything_holds()
    for _ in range(10):  # What is left, since the drains ran for a moment only.
        together(machine, *[working(each, rounds=3) for each in crowd])
    machine()
    everything_holds()
    statuses = Counter(Task.objects.values_list("status", flat=True))
    assert set(statuses) <= {"completed", "cancelled"}
    assert (statuses.total(), statuses["cancelled"] <= 4) == (12, True)
    for task_id in Task.objects.values_list("id", flat=True):
        assert set(events(task_id).values()) == {1}
