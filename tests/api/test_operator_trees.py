"""Large trees of tasks of `/api`: 64 children, 8 levels (section 24 of the reference)."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.base import clock
from apps.operations.caller import person
from apps.operations.models import LogEntry
from apps.operations.services import TaskFields, create_task
from apps.tasks.models import Run, Task
from tests.factories import House
from tests.operator_steps import Desk, desk_of
from tests.probes import assert_events_are_gap_free


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


def grown(desk: Desk) -> str:
    """Return the root of a tree of 513 tasks of eight levels, some of which have a run."""
    caller, at = person(desk.caller.principal), clock.now()

    def add(parent: str | None, number: int) -> str:
        fields = TaskFields(scope="global", title=f"Step {number}", draft=number % 7 == 3)
        made = create_task(caller=caller, fields=fields, at=at, parent_id=parent)
        return made.details.wire_id

    root = add(None, 0)
    children = [add(root, number) for number in range(64)]
    # Below eight of them, six more levels of nine tasks each.
    for child in children[:8]:
        above = child
        for level in range(6):
            row = [add(above, level * 10 + number) for number in range(9)]
            above = row[0]
        for number in range(2):
            add(child, number)
    return root


def timed(call: Any) -> tuple[int, float]:
    """Return how many statements a call executes, and its seconds."""
    began = clock.now()
    with CaptureQueriesContext(connection) as captured:
        answer = call()
    assert answer.status_code == 200, answer.content
    return len(captured), (clock.now() - began).total_seconds()


def test_large_tree__is_paused_resumed_and_cancelled_in_few_statements(desk: Desk) -> None:
    root = grown(desk)
    total = Task.objects.count()
    assert total > 500
    for task in Task.objects.filter(status="created").order_by("id")[:20]:
        desk.started(task.details.wire_id)
    for verb, body in (("pause", {"reason": "Wait"}), ("resume", {})):
        statements, seconds = timed(lambda v=verb, b=body: desk.post(f"/tasks/{root}/{v}", **b))
        assert statements < 40
        assert seconds < 5
        assert Task.objects.filter(is_paused=verb == "pause").count() == total
    assert timed(lambda: desk.get(f"/tasks/{root}/tree"))[0] < 40
    statements, seconds = timed(lambda: desk.post(f"/tasks/{root}/cancel", reason="Over"))
    assert statements < 150, "its statements must not grow with the tree"
    assert seconds < 15
    assert set(Task.objects.values_list("status", flat=True)) == {"cancelled"}
    assert set(Run.objects.values_list("status", flat=True)) == {"canceled"}
    canceled = LogEntry.objects.filter(type="task.canceled")
    assert canceled.count() == total
    told = {entry.payload.get("propagated_from_task_id") for entry in canceled}
    assert told == {None, root}
    assert LogEntry.objects.filter(type="task.run_canceled").count() == 20
    assert_events_are_gap_free()


def test_cancel__of_a_tree_with_every_state(house: House, desk: Desk) -> None:
    """What is held, failed or finished is changed by statements of its own."""
    root = desk.task(max_attempts=2)["id"]

    def below(**fields: Any) -> str:
        body = {"scope": "global", "title": "A step", **fields}
        made: str = desk.post(f"/tasks/{root}/children", **body).json()["task"]["id"]
        return made

    waiting, queued, draft, gone = below(), below(), below(draft=True), below()
    desk.started(queued)
    desk.post(f"/tasks/{gone}/cancel")
    held = [below() for _ in range(3)]
    for task in held:
        run = desk.started(task)["id"]
        assert desk.post(f"/task-runs/{run}/claim").status_code == 200
    for task in held[1:]:
        run = Run.objects.get(task__details__wire_id=task).id
        assert desk.post(f"/task-runs/{run}/start").status_code == 200
    failed, last, done = below(max_attempts=2), below(max_attempts=1), below()
    for task, verb, body in (
        (failed, "fail", {"error": "No line"}),
        (last, "fail", {"error": "No line"}),
        (done, "complete", {}),
    ):
        run = desk.started(task)["id"]
        for step, sent in (("claim", {}), ("start", {}), (verb, body)):
            assert desk.post(f"/task-runs/{run}/{step}", **sent).status_code == 200
    assert desk.post(f"/tasks/{root}/cancel", reason="Over").status_code == 200
    statuses = {
        name: desk.get(f"/tasks/{name}").json()["task"]["task"]["status"]
        for name in (root, waiting, queued, draft, gone, *held, failed, last, done)
    }
    finished = {last: "failed", done: "completed"}
    assert statuses == {name: finished.get(name, "canceled") for name in statuses}
    assert not Run.objects.filter(status__in=("queued", "claimed", "starting", "running")).exists()
    assert_events_are_gap_free()
