"""Calls of `/api` at the same time: one run, no cycle, no gate opened twice."""

from typing import Any

from apps.operations.models import TaskDetails
from apps.tasks.models import Dependency, Run, Task
from tests.agent_steps import registered
from tests.concurrency.together import together
from tests.factories import Caller, House
from tests.operator_steps import Desk, desk_of


def own(desk: Desk) -> Desk:
    """Return the same calls by a client of their own."""
    return Desk(Caller(desk.caller.key))


def test_start__at_once_makes_one_run(house: House) -> None:
    desk = desk_of(house)
    task_id = desk.task()["id"]

    def start() -> Any:
        return own(desk).post(f"/tasks/{task_id}/start")

    answers = together(*[start] * 8)
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.json()["run"]["id"] for answer in answers} == {str(Run.objects.get().id)}


def test_enqueue__at_once_by_keys_makes_one_run(house: House) -> None:
    desk = desk_of(house)
    task_id, other = desk.task()["id"], desk.task()["id"]
    answers = together(
        *[lambda: own(desk).post(f"/tasks/{task_id}/runs", idempotency_key="k")] * 3,
        *[lambda: own(desk).post(f"/tasks/{other}/runs", idempotency_key="k")] * 3,
    )
    made = [answer for answer in answers if answer.status_code == 201]
    assert len(made) == 3
    assert {answer.status_code for answer in answers} == {201, 422}
    assert Run.objects.count() == 1


def test_dependencies__at_once_close_no_cycle(house: House) -> None:
    desk = desk_of(house)
    a, b, c, d = (desk.task()["id"] for _ in range(4))
    desk.post(f"/tasks/{a}/dependencies", depends_on_task_id=b)
    desk.post(f"/tasks/{c}/dependencies", depends_on_task_id=d)
    answers = together(
        lambda: own(desk).post(f"/tasks/{b}/dependencies", depends_on_task_id=c),
        lambda: own(desk).post(f"/tasks/{d}/dependencies", depends_on_task_id=a),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert Dependency.objects.count() == 3


def test_dependency__removed_while_it_completes_opens_one_gate(house: House) -> None:
    desk = desk_of(house)
    for number in range(6):
        blocker, task_id = desk.task()["id"], desk.task()["id"]
        desk.post(f"/tasks/{task_id}/dependencies", depends_on_task_id=blocker)
        desk.started(blocker)
        agent = registered(Caller(desk.caller.key), f"s-{number}")
        run_id = agent.claimed()["run"]["id"]

        def complete(agent: Any = agent, run_id: str = run_id) -> Any:
            return agent.on(run_id, "complete", result=1)

        def remove(task_id: str = task_id, blocker: str = blocker) -> Any:
            return own(desk).delete(f"/tasks/{task_id}/dependencies/{blocker}")

        done, removed = together(complete, remove)
        assert done.status_code == 200, done.content
        assert removed.status_code in (200, 409), removed.content
        assert Task.objects.get(details__wire_id=task_id).gate_count == 1


def test_pauses__at_once_leave_what_their_rows_say(house: House) -> None:
    desk = desk_of(house)
    root = desk.task()["id"]
    child = desk.post(f"/tasks/{root}/children", scope="global", title="Child").json()["task"]["id"]
    leaf = desk.post(f"/tasks/{child}/children", scope="global", title="Leaf").json()["task"]["id"]
    for _ in range(4):
        answers = together(
            lambda: own(desk).post(f"/tasks/{root}/pause", reason="Wait"),
            lambda: own(desk).post(f"/tasks/{child}/resume"),
            lambda: own(desk).post(f"/tasks/{child}/pause", reason="Wait"),
            lambda: own(desk).post(f"/tasks/{root}/resume"),
        )
        assert {answer.status_code for answer in answers} == {200}
        own_pauses = dict(TaskDetails.objects.values_list("wire_id", "paused_at"))
        is_paused = dict(Task.objects.values_list("details__wire_id", "is_paused"))
        below = [own_pauses[root] is not None, own_pauses[child] is not None]
        assert is_paused[leaf] == any(below)
        assert is_paused[root] == below[0]


def test_children__at_once_are_64_at_most(house: House) -> None:
    desk = desk_of(house)
    root = desk.task()["id"]
    for number in range(62):
        desk.post(f"/tasks/{root}/children", scope="global", title=f"Child {number}")
    answers = together(
        *[lambda: own(desk).post(f"/tasks/{root}/children", scope="global", title="Last")] * 6
    )
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409, 409]
