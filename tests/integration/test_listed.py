"""What is listed of tasks for `/api`: true after any calls, whichever of them a fold has seen."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection, transaction

from apps.accounts.principal import Principal
from apps.agents.models import AgentSession
from apps.operations import listed
from apps.operations.buckets import ALL_TASKS
from apps.operations.models import ListedCount, ListedTask, Recount, TaskDetails, TouchedTask
from apps.operations.services import (
    clean_up_listed,
    fold_touched,
    listing,
    recount,
    recount_if_due,
    recount_listed,
)
from apps.tasks.models import Run, Task
from tests.agent_steps import SESSIONS
from tests.factories import House
from tests.listed_steps import assert_listed_is_true, fold_whole, read_by
from tests.observe_steps import Mixture
from tests.operator_steps import Desk, desk_of

OF_TASKS = ("pause", "resume", "start", "runs", "publish", "approve", "reject", "cancel")
OF_RUNS = ("claim", "start", "complete", "fail", "cancel")
FORCED = ("fail", "release", "retry", "recover")


@pytest.fixture
def desk(house: House) -> Desk:
    read_by("listed")
    return desk_of(house)


@dataclass
class Calls(Mixture):
    """Make further calls: of operators, forced ones, pauses, changes and deletions."""

    def build(self, steps: int = 60) -> None:
        super().build(steps)
        more = [self.operate, self.operate, self.force, self.change, self.child, self.on_task]
        for _ in range(steps):
            self.chance.choice([*more, self.run, self.claim, self.end, self.triage])()
            if self.chance.random() < 0.1:
                fold_touched()

    def on_task(self) -> None:
        self.on(self.chance.choice(OF_TASKS), reason="Because.", idempotency_key="")

    def a_run(self) -> str:
        return str(self.chance.choice(list(Run.objects.values_list("id", flat=True))))

    def tried(self, answer: Any) -> None:
        assert answer.status_code < 500, answer.content

    def operate(self) -> None:
        verb = self.chance.choice(OF_RUNS)
        self.tried(self.desk.post(f"/task-runs/{self.a_run()}/{verb}", error="It is down."))

    def force(self) -> None:
        verb = self.chance.choice(FORCED)
        self.tried(self.desk.post(f"/runs/{self.a_run()}/{verb}", reason="It hangs."))

    def change(self) -> None:
        pick = self.chance.choice
        changes = [{"max_attempts": 5}, {"priority": "urgent"}, {"approval_policy": "manual"}]
        changes += [{"owner": {"kind": "agent_session", "ref": "s-global"}}, {"clear_owner": True}]
        self.tried(self.desk.patch(f"/tasks/{pick(self.ids)}", **pick(changes)))

    def child(self) -> None:
        parent = self.chance.choice(self.ids)
        answer = self.desk.post(f"/tasks/{parent}/children", title="Part", scope="global")
        self.tried(answer)


def actors(house: House, desk: Desk) -> list[Principal]:
    """Return who sees everything, and who sees one pool."""
    granted = desk_of(house, pool_ids=[house.pool.id]).caller.principal
    return [desk.caller.principal, granted]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_listed__is_what_is_counted(house: House, desk: Desk, seed: int) -> None:
    mixture = Calls(house, desk, seed)
    mixture.build()
    assert_listed_is_true(actors(house, desk), ["s-global", "s-pool"])
    for session in AgentSession.objects.filter(state="active"):
        assert desk.caller.delete(f"{SESSIONS}/{session.session_id}").status_code == 204
    Run.objects.filter(status="claimed").update(status="starting")
    assert_listed_is_true(actors(house, desk), ["s-global", "s-pool"])


def test_a_failed_task_whose_attempts_are_raised__is_ready_again(desk: Desk) -> None:
    agent, task_id = desk.agent(), desk.task(max_attempts=1)["id"]
    desk.started(task_id)
    agent.on(agent.claimed()["run"]["id"], "fail", error="It is down.")
    fold_whole()
    assert ListedTask.objects.get().status == "failed"
    assert desk.patch(f"/tasks/{task_id}", max_attempts=2).status_code == 200
    assert_listed_is_true([desk.caller.principal])
    assert ListedTask.objects.get().status == "ready"


def test_a_run_that_is_starting__is_in_progress(desk: Desk) -> None:
    desk.started(desk.task()["id"])
    desk.agent().claimed()
    fold_whole()
    assert ListedTask.objects.get().status == "ready"
    Run.objects.update(status="starting")
    assert_listed_is_true([desk.caller.principal])
    assert ListedTask.objects.get().status == "in_progress"


def test_a_session_that_ends__makes_orphans_also_of_what_is_folded_meanwhile(desk: Desk) -> None:
    desk.started(desk.task()["id"])
    desk.agent().claimed()
    with transaction.atomic():
        AgentSession.objects.update(state="stopped", ended_at="2026-01-01T00:00:00Z")
        Run.objects.update(status="starting")
    fold_whole()
    assert ListedTask.objects.get().is_orphan
    AgentSession.objects.update(state="active", ended_at=None)
    assert_listed_is_true([desk.caller.principal])
    assert not ListedTask.objects.get().is_orphan


def test_a_deleted_task__is_not_listed(desk: Desk) -> None:
    task_id = desk.task()["id"]
    fold_whole()
    assert desk.delete(f"/tasks/{task_id}").status_code == 204
    assert_listed_is_true([desk.caller.principal])
    assert not ListedTask.objects.exists()
    assert not ListedCount.objects.exclude(number=0).exists()
    clean_up_listed()
    assert not ListedCount.objects.exists()


# --- the recount ----------------------------------------------------------------------------------


def unnoticed(sql: str) -> None:
    """Change rows without the triggers that touch their tasks."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql)


@pytest.fixture
def some(house: House, desk: Desk) -> Iterator[Desk]:
    for title in ("Draft", "Paint", "Mend"):
        desk.started(desk.task(title=title)["id"])
    fold_whole()
    yield desk
    assert recount_listed() == 0
    assert_listed_is_true([desk.caller.principal])


FIRST = "SELECT task_id FROM operations_listedtask ORDER BY task_id LIMIT 1"
DRIFTS = {
    "a task": f"UPDATE operations_listedtask SET status = 'failed' WHERE task_id = ({FIRST})",
    "a missing task": f"DELETE FROM operations_listedtask WHERE task_id = ({FIRST})",
    "a run": "UPDATE tasks_run SET queued_at = queued_at - interval '1 day'",
    "a count": "UPDATE operations_listedcount SET number = 7 WHERE figure = 'queue'",
    "a missing count": "DELETE FROM operations_listedcount WHERE figure = 'task'",
    "a task that is not there": (
        f"DELETE FROM tasks_run WHERE task_id = ({FIRST});"
        f" DELETE FROM tasks_task WHERE id = ({FIRST})"
    ),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_recount__finds_and_corrects(
    some: Desk, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    unnoticed(DRIFTS[name])
    drift = recount_listed()
    assert drift > 0
    assert Recount.objects.get().listed_drift == drift
    assert "is corrected" in caplog.text


def test_recount__of_more_tasks_than_it_compares_at_once(
    some: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "COMPARED", 2)
    monkeypatch.setattr(listing, "BATCH", 1)
    unnoticed("DELETE FROM operations_listedtask")
    assert recount_listed() >= 3
    assert ListedTask.objects.count() == 3


def test_recount__leaves_touched_tasks_to_the_fold(some: Desk) -> None:
    wire_id = TaskDetails.objects.values_list("wire_id", flat=True)[0]
    assert some.patch(f"/tasks/{wire_id}", priority="urgent").status_code == 200
    assert TouchedTask.objects.exists()
    assert recount_listed() == 0


def test_the_first_recount__lists_what_was_there_before(house: House) -> None:
    desk = desk_of(house)
    desk.started(desk.task()["id"])
    house.completed()
    unnoticed("DELETE FROM operations_touchedtask")
    assert recount_if_due() == 0
    recorded = Recount.objects.get()
    assert recorded.listed_at is not None
    assert recorded.listed_drift == 0
    assert ListedTask.objects.count() == Task.objects.count() == 2
    assert_listed_is_true([desk.caller.principal])


def test_tasks_of_v1__are_listed(house: House, desk: Desk) -> None:
    for make in (house.completed, house.completed, house.started):
        make()
        fold_touched()
    waiting = house.queued()
    house.task(depends_on=[str(waiting.id)])
    assert_listed_is_true([desk.caller.principal])


def test_recount__needs_no_second_run(some: Desk) -> None:
    assert recount() == 0
    assert recount_listed() == 0


def test_lists__are_not_read_while_folds_are_far_behind(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    recount_listed()
    assert listed.is_readable()
    desk.task()
    none = listed.IS_READABLE.replace(f"OFFSET {listed.MAX_TOUCHED}", "OFFSET 0")
    monkeypatch.setattr(listed, "IS_READABLE", none)
    assert not listed.is_readable()
    while fold_touched():
        pass
    assert listed.is_readable()


def test_a_count_that_is_wrong__leaves_a_dashboard(house: House, desk: Desk) -> None:
    recount_listed()
    ListedCount.objects.create(
        organisation=house.organisation,
        pool_ids=list(ALL_TASKS),
        figure="queue",
        name="a-channel-without-runs",
        number=1,
    )
    answer = desk.get("/observe/tasks/dashboard")
    assert answer.status_code == 200
    assert answer.json()["dashboard"]["queue"]["total"] == 0
