"""Test `depends_on`: a task waits for its dependencies, and fails if one of them does."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.principal import system
from apps.accounts.services import issue_key
from apps.base import clock
from apps.base.transactions import atomic
from apps.matching.services import match_queued
from apps.pools.services import provision_pool
from apps.tasks import services as tasks
from apps.tasks.models import Dependency, Task
from apps.tasks.services import dependencies
from apps.tasks.services.locks import lock_task
from apps.timers.models import Timer
from apps.timers.services import fire_due
from biolayer.lifecycle import EventType, Status
from tests.api.dependency_steps import complete, shown
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.factories import OUTPUT, Caller, House, contract
from tests.probes import see, verify_nothing_changed, verify_transition


def after(*needed: Task, **changes: Any) -> dict[str, Any]:
    """Return the body of a task that depends on others."""
    return contract(depends_on=[str(task.id) for task in needed], **changes)


def task_after(house: House, *needed: Task, **changes: Any) -> Task:
    answer = house.alice.post("/v1/tasks", after(*needed, **changes))
    assert answer.status_code == 201, answer.content
    return Task.objects.get(id=answer.json()["task_id"])


def waits_for(house: House, task: Task) -> tuple[list[str], int]:
    """Return what a task waits for, by the API and by intake."""
    return shown(house, task)["waiting_for"], Task.objects.get(id=task.id).gate_count


def ids(*named: Task) -> list[str]:
    return [str(task.id) for task in named]


def cancel(house: House, task: Task) -> None:
    assert house.alice.post(f"/v1/tasks/{task.id}/cancel").status_code == 200


def fail(house: House, task: Task) -> None:
    at = clock.now()
    with atomic():
        locked = lock_task(actor=house.alice.principal, task_id=task.id)
        tasks.fail_task(task=locked, actor=system("test", task.organisation_id), reason="", at=at)


def reopen(house: House, task: Task) -> None:
    actor = system("test", house.organisation.id)
    tasks.reopen_task(actor=actor, task_id=task.id, reason="again", at=clock.now())


END = {"cancelled": cancel, "failed": fail}


# --- held, and let go ----------------------------------------------------------------------


def test_depends_on__held_until_the_last_is_completed(house: House) -> None:
    first, second = house.task(), house.task()
    answer = house.alice.post("/v1/tasks", after(second, first))
    assert (answer.status_code, answer.json()["status"]) == (201, "created")
    assert house.alice.get(answer["Location"]).json() == answer.json()
    task = Task.objects.get(id=answer.json()["task_id"])
    assert answer.json()["depends_on"] == ids(second, first)
    assert waits_for(house, task) == (ids(second, first), 2)
    complete(house, first)
    assert waits_for(house, task) == (ids(second), 1)
    assert verify_nothing_changed(task.id, tasks.queue_created) == 0
    complete(house, second)
    assert waits_for(house, task) == ([], 0)
    verify_transition(task.id, tasks.queue_created, event=EventType.QUEUED, to=Status.QUEUED)
    assert shown(house, task)["depends_on"] == ids(second, first)


def test_depends_on__completed_tasks_hold_nothing(house: House) -> None:
    done, undone = house.completed(), house.task()
    task = task_after(house, done, undone)
    assert waits_for(house, task) == (ids(undone), 1)
    free = task_after(house, done)
    assert (waits_for(house, free), shown(house, free)["depends_on"]) == (([], 0), ids(done))
    complete(house, free)


def test_depends_on__releases_only_dependent_tasks(house: House) -> None:
    done, other = house.task(), house.task()
    task = task_after(house, other)
    complete(house, done)
    assert waits_for(house, task) == (ids(other), 1)


def test_depends_on__is_in_the_list(house: House) -> None:
    needed = house.task()
    task = task_after(house, needed)
    listed = house.alice.get("/v1/tasks").json()["data"]
    assert [(one["depends_on"], one["waiting_for"]) for one in listed] == [
        (ids(needed), ids(needed)),
        ([], []),
    ]
    cancelled = house.alice.post(f"/v1/tasks/{task.id}/cancel").json()
    assert (cancelled["depends_on"], cancelled["waiting_for"]) == (ids(needed), [])
    assert shown(house, task) == cancelled


@pytest.mark.parametrize("count", [0, 3])
def test_depends_on__get_and_list_need_no_statement_more(house: House, count: int) -> None:
    task = task_after(house, *[house.task() for _ in range(count)])
    # The credential; the task, or the versions of a page; those that were not rendered before.
    one = f"/v1/tasks/{task.id}"
    for path, statements in (one, 2), (one, 2), ("/v1/tasks", 3 if count else 2):
        with CaptureQueriesContext(connection) as captured:
            assert house.alice.get(path).status_code == 200
        assert len(captured) == statements, captured.captured_queries


# --- what may not be named -----------------------------------------------------------------


def test_depends_on__form(house: House) -> None:
    known = str(house.task().id)
    refused: list[tuple[Any, dict[str, str]]] = [
        (known, {"/depends_on": "wrong_type"}),
        (None, {"/depends_on": "wrong_type"}),
        ([known, 7, "x"], {"/depends_on/1": "wrong_type", "/depends_on/2": "wrong_type"}),
        ([known.replace("-", "")], {"/depends_on/0": "wrong_type"}),
        ([known, known.upper()], {"/depends_on": "duplicate"}),
        ([str(uuid4()) for _ in range(33)], {"/depends_on": "too_long"}),
    ]
    for value, expected in refused:
        with expect_unchanged():
            answer = house.alice.post("/v1/tasks", contract(depends_on=value))
        assert faults(answer) == expected, value
    assert house.alice.post("/v1/tasks", contract(depends_on=[])).status_code == 201
    many = [house.task() for _ in range(32)]
    assert task_after(house, *many).gate_count == 32


def test_depends_on__unknown_and_closed_are_named_by_their_place(house: House) -> None:
    cancelled, failed, fine = house.task(), house.task(), house.task()
    cancel(house, cancelled)
    fail(house, failed)
    body = after(fine, cancelled, failed)
    body["depends_on"].insert(1, str(uuid4()))
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", body | {"title": ""})
    assert faults(answer) == {
        "/title": "blank",
        "/depends_on/1": "unknown_task",
        "/depends_on/2": "dependency_closed",
        "/depends_on/3": "dependency_closed",
    }


def test_depends_on__only_tasks_that_the_credential_may_see(house: House) -> None:
    back_office = provision_pool(organisation_id=house.organisation.id, name="Back office")
    hidden = house.task(requirements={"worker_pool_id": str(back_office.id)})
    scoped = Caller(
        issue_key(organisation_id=house.organisation.id, name="Front", pool_ids=[house.pool.id])
    )
    for caller in scoped, house.charlie:
        with expect_unchanged():
            answer = caller.post("/v1/tasks", after(hidden))
        assert faults(answer) == {"/depends_on/0": "unknown_task"}
    assert house.alice.post("/v1/tasks", after(hidden)).status_code == 201


# --- ended without a result ----------------------------------------------------------------


@pytest.mark.parametrize("end", END)
def test_dependency_ended__dependents_fail_by_a_timer(house: House, end: str) -> None:
    needed, other = house.task(), house.task()
    task = task_after(house, other, needed)
    END[end](house, needed)
    # If the process died here, the rest would still be stored as a row.
    assert [
        (timer.kind, timer.subject_id) for timer in Timer.objects.exclude(kind="retention")
    ] == [("dependency", needed.id)]
    assert Task.objects.get(id=task.id).status == "created"
    verify_transition(task.id, fire_due, event=EventType.FAILED, to=Status.FAILED)
    body = shown(house, task)
    assert (body["close_reason"], body["waiting_for"]) == (f"dependency_{end}", [])
    assert see(task.id).events[-1]["actor"] == {"kind": "system", "id": "dependencies"}
    assert (Timer.objects.exclude(kind="retention").count(), tasks.queue_created()) == (
        0,
        1,
    )  # The other task is queued.


def test_dependency_ended__chain_falls_link_by_link(house: House) -> None:
    chain = [house.task()]
    for _ in range(3):
        chain.append(task_after(house, chain[-1]))
    cancel(house, chain[0])
    assert [fire_due() for _ in range(4)] == [1, 1, 1, 0]
    assert [Task.objects.get(id=task.id).close_reason for task in chain] == [
        "",
        "dependency_cancelled",
        "dependency_failed",
        "dependency_failed",
    ]


def test_dependency_ended__more_dependents_than_one_batch(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependencies, "BATCH", 2)
    needed = house.task()
    made = [task_after(house, needed) for _ in range(5)]
    cancel(house, needed)
    at = clock.now()
    assert [fire_due(at=at) for _ in range(4)] == [1, 1, 1, 0]
    assert all(Task.objects.get(id=task.id).status == "failed" for task in made)


def test_dependency_ended__without_dependents_sets_no_timer(house: House) -> None:
    cancel(house, house.task())
    fail(house, house.task())
    assert Timer.objects.exclude(kind="retention").count() == 0


def test_dependency_ended__cancelled_dependents_stay_cancelled(house: House) -> None:
    needed = house.task()
    task = task_after(house, needed)
    cancel(house, task)
    cancel(house, needed)
    assert verify_nothing_changed_but_timers(task.id, fire_due) == 1
    other = house.task()
    called_off = task_after(house, other)
    cancel(house, called_off)
    complete(house, other)
    assert Task.objects.get(id=called_off.id).status == "cancelled"


def verify_nothing_changed_but_timers(task_id: UUID, call: Any) -> Any:
    before = see(task_id)
    answer = call()
    after_it = see(task_id)
    assert (after_it.row, after_it.events) == (before.row, before.events)
    return answer


def test_dependency_ended__late_ones_say_so_first(house: House) -> None:
    needed = house.task()
    task = task_after(house, needed, sla={"target_latency_seconds": 1})
    cancel(house, needed)
    dependencies.fail_dependents(task_id=needed.id, at=clock.now() + timedelta(seconds=2))
    types = [event["type"] for event in see(task.id).events]
    assert types == ["task.created", "task.sla_breached", "task.failed"]


# --- reopened ------------------------------------------------------------------------------


def test_reopened__holds_dependents_at_created_again(house: House) -> None:
    done, other = house.completed(), house.task()
    task, on_its_way = task_after(house, done, other), task_after(house, done)
    tasks.queue_created()
    reopen(house, done)
    assert waits_for(house, task) == (ids(done, other), 2)
    on_its_way.refresh_from_db()
    assert (on_its_way.status, on_its_way.gate_count) == ("queued", 0)
    complete(house, other)
    assert waits_for(house, task) == (ids(done), 1)
    complete(house, done)
    assert waits_for(house, task) == ([], 0)


def test_reopened__and_ended_fails_held_dependents_only(house: House) -> None:
    done, other = house.completed(), house.task()
    task, on_its_way = task_after(house, done, other), task_after(house, done)
    tasks.queue_created()
    reopen(house, done)
    cancel(house, done)
    fire_due()
    assert Task.objects.get(id=task.id).close_reason == "dependency_cancelled"
    assert Task.objects.get(id=on_its_way.id).status == "queued"


def test_reopened__before_the_timer_fires_no_task_fails(house: House) -> None:
    needed = house.task()
    task = task_after(house, needed)
    fail(house, needed)
    reopen(house, needed)
    assert fire_due() == 0
    assert waits_for(house, task) == (ids(needed), 1)
    complete(house, needed)
    assert waits_for(house, task) == ([], 0)


def test_reopened__and_ended_again_before_the_timer_fires(house: House) -> None:
    needed = house.task()
    task = task_after(house, needed)
    fail(house, needed)
    reopen(house, needed)
    cancel(house, needed)
    assert fire_due() == 1
    assert Task.objects.get(id=task.id).close_reason == "dependency_cancelled"


# --- what the worker sees ------------------------------------------------------------------


def test_briefing__has_the_verified_results_in_their_order(house: House) -> None:
    first, second = house.task(title="First"), house.task(title="Second", task_type="review")
    task_after(house, second, first)
    complete(house, first)
    complete(house, second)
    assert (tasks.queue_created(), match_queued()) == (1, 1)
    expected = [
        {"task_id": str(second.id), "title": "Second", "task_type": "review", "output": OUTPUT},
        {"task_id": str(first.id), "title": "First", "task_type": "verification", "output": OUTPUT},
    ]
    (offer,) = house.bob.get("/v1/offers").json()["data"]
    assert offer["task"]["dependencies"] == expected
    accepted = house.bob.post(f"/v1/offers/{offer['offer_id']}/accept").json()
    assert accepted["task"]["dependencies"] == expected
    with CaptureQueriesContext(connection) as captured:
        (run,) = house.bob.get("/v1/runs").json()["data"]
    assert run["task"]["dependencies"] == expected
    assert len(captured) == 3
    reopen(house, first)
    (run,) = house.bob.get("/v1/runs").json()["data"]
    assert [one["output"] for one in run["task"]["dependencies"]] == [OUTPUT, None]


def test_briefing__without_dependencies(house: House) -> None:
    run = house.accepted()
    assert house.bob.get(f"/v1/runs/{run.id}").json()["task"]["dependencies"] == []


# --- sent twice ----------------------------------------------------------------------------


def test_natural_key__same_body_is_answered_even_when_the_dependency_has_ended(
    house: House,
) -> None:
    needed, other = house.task(), house.task()
    origin = {"origin": {"product": "threatlabs", "request_id": "IR-1"}}
    first = house.alice.post("/v1/tasks", after(needed, **origin))
    assert house.alice.post("/v1/tasks", after(needed, **origin)).json() == first.json()
    with expect_unchanged():
        expect_problem(
            house.alice.post("/v1/tasks", after(other, **origin)), 409, "request_id_reused"
        )
    cancel(house, needed)
    again = house.alice.post("/v1/tasks", after(needed, **origin))
    assert (again.status_code, again.json()["task_id"]) == (200, first.json()["task_id"])
    assert Dependency.objects.count() == 1
