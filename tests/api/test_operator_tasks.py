"""Calls of `/api` that change tasks: sections 4 to 8, 14 and 23 of the reference."""

from typing import Any

import pytest

from apps.accounts.scopes import Role, Scope
from apps.base import clock
from apps.operations.models import LogEntry
from apps.operations.services import enqueue_dependents
from apps.tasks.models import Run, Task
from tests.api.agh_contract import OPERATIONS, answer_faults, error_faults
from tests.factories import House
from tests.operator_steps import Desk, desk_of
from tests.review_steps import set_policy


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


def expect(operation_id: str, response: Any) -> Any:
    """Return the body of an answer, which is as the contract has it."""
    published = OPERATIONS[operation_id]
    assert response.status_code == published["success_status"], response.content
    body = response.json()
    assert answer_faults(operation_id, body) == []
    return body


def refuse(operation_id: str, response: Any, status: int, code: str | None = None) -> Any:
    """Assert that a refusal is one of the contract, and return its body."""
    assert response.status_code == status, response.content
    assert status in {*OPERATIONS[operation_id]["error_statuses"], 401, 403, 413, 429}
    body = response.json()
    assert error_faults(body) == []
    assert body.get("diagnostic", {}).get("code") == code
    return body


def logged(task_id: str) -> list[str]:
    entries = LogEntry.objects.filter(task__details__wire_id=task_id).order_by("sequence")
    return [kind.removeprefix("task.") for kind in entries.values_list("type", flat=True)]


# --- from create to completed ---------------------------------------------------------------------


def test_task__from_create_to_completed(house: House, desk: Desk) -> None:
    made = expect(
        "createTask",
        desk.post("/tasks", scope="workspace", workspace=house.pool.name, title=" Draft "),
    )["task"]
    assert (made["title"], made["status"], made["workspace_id"]) == (
        "Draft",
        "ready",
        str(house.pool.id),
    )
    started = expect("startTask", desk.post(f"/tasks/{made['id']}/start"))
    assert started["run"]["status"] == "queued"
    agent = desk.agent(house)
    claim = agent.claimed()
    assert claim["run"]["id"] == started["run"]["id"]
    assert claim["task"]["id"] == made["id"]
    assert claim["run"]["metadata"]["work"]["instructions"] == ""
    done = agent.on(claim["run"]["id"], "complete", result={"text": "ok"})
    assert done.status_code == 200, done.content
    patched = expect("updateTask", desk.patch(f"/tasks/{made['id']}", title="Drafted"))["task"]
    assert (patched["status"], patched["title"]) == ("completed", "Drafted")
    assert patched["closed_at"]
    assert logged(made["id"]) == [
        "created",
        "run_enqueued",
        "run_claimed",
        "run_completed",
        "updated",
    ]
    assert house.alice.get(f"/v1/tasks/{Task.objects.get().id}").json()["status"] == "completed"


def test_failed_run__leaves_the_task_ready_until_no_attempt_is_left(desk: Desk) -> None:
    task_id = desk.task(max_attempts=2)["id"]
    agent = desk.agent()
    for status in ("ready", "failed"):
        desk.started(task_id)
        run_id = agent.claimed()["run"]["id"]
        assert agent.on(run_id, "fail", error="no answer").status_code == 200
        shown = desk.patch(f"/tasks/{task_id}", identifier=status, title=f"now {status}").json()
        assert shown["task"]["status"] == status
    refuse("startTask", desk.post(f"/tasks/{task_id}/start"), 409)
    raised = expect("updateTask", desk.patch(f"/tasks/{task_id}", max_attempts=3))
    assert raised["task"]["status"] == "ready"
    assert expect("startTask", desk.post(f"/tasks/{task_id}/start"))["run"]["attempt"] == 3


def test_released_run__is_claimed_again_by_another(desk: Desk) -> None:
    run_id = desk.started(desk.task()["id"])["id"]
    first, second = desk.agent(), desk.agent(session_id="s-2")
    assert first.claimed()["run"]["id"] == run_id
    assert second.claim().status_code == 204
    assert first.on(run_id, "release", reason="done for today").status_code == 200
    again = second.claimed()["run"]
    assert (again["id"], again["attempt"], again["session_id"]) == (run_id, 1, "s-2")


def test_completed_task__starts_again_while_attempts_are_left(desk: Desk) -> None:
    task_id = desk.task()["id"]
    agent = desk.agent()
    desk.started(task_id)
    agent.on(agent.claimed()["run"]["id"], "complete", result=1)
    again = expect("startTask", desk.post(f"/tasks/{task_id}/start"))
    assert (again["run"]["attempt"], again["task"]["status"]) == (2, "ready")
    assert "closed_at" not in again["task"]


# --- create ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": " "},
        {"scope": "team"},
        {"workspace": "Front desk"},
        {"scope": "workspace"},
        {"max_attempts": 11},
        {"network_channel": "No"},
        {"owner": {"kind": "pool"}},
        {"id": "a/b"},
    ],
)
def test_create__refuses_what_is_invalid(desk: Desk, wrong: dict[str, Any]) -> None:
    refuse("createTask", desk.post("/tasks", **{"scope": "global", "title": "Draft", **wrong}), 422)
    assert not Task.objects.exists()


def test_create__bounds_of_metadata_and_ids(desk: Desk) -> None:
    refuse("createTask", desk.post("/tasks", scope="global", title="A", metadata="x" * 17_000), 413)
    token = {"a": [{"Claim_Token": 1}]}
    refuse("createTask", desk.post("/tasks", scope="global", title="A", metadata=token), 422)
    assert desk.task(id="draft-1")["id"] == "draft-1"
    refuse("createTask", desk.post("/tasks", scope="global", title="A", id="draft-1"), 409)
    unknown = desk.post("/tasks", scope="workspace", title="A", workspace="No such pool")
    refuse("createTask", unknown, 404)


def test_create__of_a_session_in_its_workspace_only(house: House, desk: Desk) -> None:
    agent = desk.agent(house)
    identity = {"X-AGH-Session-ID": agent.session_id, "X-AGH-Agent": agent.name}
    body = {"title": "Ask first", "scope": "workspace", "workspace": str(house.pool.id)}
    made = desk.caller.post("/api/tasks", body, **identity)
    assert expect("createTask", made)["task"]["created_by"] == {
        "kind": "agent_session",
        "ref": "s-1",
    }
    other = desk.caller.post("/api/tasks", {"title": "Global", "scope": "global"}, **identity)
    refuse("createTask", other, 403, "identity_unauthorized")
    stale = desk.caller.post("/api/tasks", body, **{**identity, "X-AGH-Session-ID": "gone"})
    refuse("createTask", stale, 401, "identity_stale")


def test_calls__need_their_scope_and_see_their_organisation(house: House, desk: Desk) -> None:
    task_id = desk.task()["id"]
    reader = desk_of(house, scopes=[Scope.TASKS_READ])
    refuse("createTask", reader.post("/tasks", scope="global", title="A"), 403)
    refuse("startTask", reader.post(f"/tasks/{task_id}/start"), 403)
    viewer = desk_of(house, role=Role.VIEWER)
    refuse("updateTask", viewer.patch(f"/tasks/{task_id}", title="B"), 403)
    stranger = Desk(house.charlie)
    for answer in (
        stranger.post(f"/tasks/{task_id}/start"),
        stranger.patch(f"/tasks/{task_id}", title="Mine"),
        stranger.post(f"/tasks/{task_id}/cancel"),
    ):
        assert answer.status_code == 404


def test_task_of_v1__is_not_changed_here(house: House, desk: Desk) -> None:
    task = house.task()
    refuse("startTask", desk.post(f"/tasks/{task.id}/start"), 409)
    refuse("updateTask", desk.patch(f"/tasks/{task.id}", title="B"), 409)


# --- drafts and approvals -------------------------------------------------------------------------


def test_draft__is_published_once(desk: Desk) -> None:
    task_id = desk.task(draft=True)["id"]
    refuse("startTask", desk.post(f"/tasks/{task_id}/start"), 409)
    refuse("enqueueTaskRun", desk.post(f"/tasks/{task_id}/runs"), 409)
    first = expect("publishTask", desk.post(f"/tasks/{task_id}/publish"))
    assert (first["task"]["status"], first["task"].get("draft")) == ("ready", None)
    again = expect("publishTask", desk.post(f"/tasks/{task_id}/publish"))
    assert again["run"]["id"] == first["run"]["id"]
    assert logged(task_id) == ["created", "published", "run_enqueued"]


def test_draft__that_is_blocked_stays_one(desk: Desk) -> None:
    blocker, task_id = desk.task()["id"], desk.task(draft=True)["id"]
    desk.post(f"/tasks/{task_id}/dependencies", depends_on_task_id=blocker)
    refuse("publishTask", desk.post(f"/tasks/{task_id}/publish"), 409)
    assert desk.patch(f"/tasks/{task_id}", title="B").json()["task"]["status"] == "draft"


def test_approval__opens_the_task_and_queues_it(desk: Desk) -> None:
    task_id = desk.task(approval_policy="manual")["id"]
    refuse("startTask", desk.post(f"/tasks/{task_id}/start"), 409)
    approved = expect("approveTask", desk.post(f"/tasks/{task_id}/approve"))
    assert (approved["task"]["status"], approved["task"]["approval_state"]) == ("ready", "approved")
    again = expect("approveTask", desk.post(f"/tasks/{task_id}/approve"))
    assert again["run"]["id"] == approved["run"]["id"]
    refuse("rejectTask", desk.post(f"/tasks/{task_id}/reject"), 409)


def test_approval__of_a_draft_publishes_it(desk: Desk) -> None:
    task_id = desk.task(approval_policy="manual", draft=True)["id"]
    refuse("publishTask", desk.post(f"/tasks/{task_id}/publish"), 409)
    assert (
        expect("approveTask", desk.post(f"/tasks/{task_id}/approve"))["task"]["status"] == "ready"
    )


def test_rejected_task__opens_again_by_another_policy(desk: Desk) -> None:
    task_id = desk.task(approval_policy="manual")["id"]
    rejected = expect("rejectTask", desk.post(f"/tasks/{task_id}/reject"))["task"]
    assert (rejected["status"], rejected["approval_state"]) == ("blocked", "rejected")
    refuse("approveTask", desk.post(f"/tasks/{task_id}/approve"), 409)
    opened = expect("updateTask", desk.patch(f"/tasks/{task_id}", approval_policy="none"))["task"]
    assert (opened["status"], opened["approval_state"]) == ("ready", "not_required")
    closed = expect("updateTask", desk.patch(f"/tasks/{task_id}", approval_policy="manual"))["task"]
    assert (closed["status"], closed["approval_state"]) == ("blocked", "pending")


# --- update ---------------------------------------------------------------------------------------


def test_update__changes_what_is_named_only(desk: Desk) -> None:
    made = desk.task(description="Old", owner={"kind": "human", "ref": "alice"}, metadata={"a": 1})
    shown = expect(
        "updateTask",
        desk.patch(
            f"/tasks/{made['id']}",
            description="",
            priority=" URGENT ",
            metadata={"b": 2},
            title=None,
        ),
    )["task"]
    assert "description" not in shown
    assert (shown["priority"], shown["metadata"], shown["title"]) == (
        "urgent",
        {"b": 2},
        made["title"],
    )
    cleared = expect("updateTask", desk.patch(f"/tasks/{made['id']}", clear_owner=True))["task"]
    assert "owner" not in cleared
    expect("updateTask", desk.patch(f"/tasks/{made['id']}", clear_owner=True))
    assert logged(made["id"]) == ["created", "updated", "updated"]
    refuse("updateTask", desk.patch(f"/tasks/{made['id']}"), 422)
    both = desk.patch(f"/tasks/{made['id']}", clear_owner=True, owner={"kind": "human", "ref": "b"})
    refuse("updateTask", both, 422)


# --- dependencies ---------------------------------------------------------------------------------


def test_dependency__blocks_until_it_is_completed(desk: Desk) -> None:
    first, second = desk.task()["id"], desk.task(auto_enqueue_on_ready=True)["id"]
    added = desk.post(f"/tasks/{second}/dependencies", depends_on_task_id=first)
    assert added.status_code == 200
    assert added.json()["task"]["task"]["status"] == "blocked"
    refuse("startTask", desk.post(f"/tasks/{second}/start"), 409)
    agent = desk.agent()
    desk.started(first)
    agent.on(agent.claimed()["run"]["id"], "complete", result=None)
    enqueue_dependents(task_id=Task.objects.get(details__wire_id=first).id, at=clock.now())
    assert agent.claimed()["task"]["id"] == second
    assert logged(second)[-2:] == ["run_enqueued", "run_claimed"]


def test_queued_run__waits_while_its_task_is_blocked(desk: Desk) -> None:
    blocker, task_id = desk.task()["id"], desk.task()["id"]
    desk.started(task_id)
    desk.post(f"/tasks/{task_id}/dependencies", depends_on_task_id=blocker)
    agent = desk.agent()
    assert agent.claim().status_code == 204
    removed = desk.delete(f"/tasks/{task_id}/dependencies/{blocker}")
    assert removed.json()["task"]["task"]["status"] == "ready"
    refuse("removeTaskDependency", desk.delete(f"/tasks/{task_id}/dependencies/{blocker}"), 404)
    assert agent.claimed()["task"]["id"] == task_id


def test_dependency__of_a_task_of_v1(house: House, desk: Desk) -> None:
    task, task_id = house.task(), desk.task()["id"]
    added = desk.post(f"/tasks/{task_id}/dependencies", depends_on_task_id=str(task.id))
    assert added.json()["task"]["task"]["status"] == "blocked"
    house.alice.post(f"/v1/tasks/{task.id}/cancel", {})
    shown = desk.patch(f"/tasks/{task_id}", title="Waits").json()["task"]
    assert shown["status"] == "blocked"


def test_dependencies__have_no_cycle_and_a_bound(desk: Desk) -> None:
    a, b, c = (desk.task()["id"] for _ in range(3))
    for task_id, needs in ((b, a), (c, b)):
        assert (
            desk.post(f"/tasks/{task_id}/dependencies", depends_on_task_id=needs).status_code == 200
        )
    refuse("addTaskDependency", desk.post(f"/tasks/{a}/dependencies", depends_on_task_id=c), 409)
    refuse("addTaskDependency", desk.post(f"/tasks/{a}/dependencies", depends_on_task_id=a), 422)
    refuse("addTaskDependency", desk.post(f"/tasks/{b}/dependencies", depends_on_task_id=a), 422)
    refuse("addTaskDependency", desk.post(f"/tasks/{a}/dependencies", depends_on_task_id="no"), 404)
    refuse("addTaskDependency", desk.post(f"/tasks/{a}/dependencies"), 422)
    for _ in range(32):
        desk.post(f"/tasks/{a}/dependencies", depends_on_task_id=desk.task()["id"])
    more = desk.post(f"/tasks/{a}/dependencies", depends_on_task_id=desk.task()["id"])
    refuse("addTaskDependency", more, 409)


# --- tasks below tasks ----------------------------------------------------------------------------


def test_children__have_bounds(house: House, desk: Desk) -> None:
    task_id = desk.task()["id"]
    for depth in range(2, 9):
        made = desk.post(f"/tasks/{task_id}/children", scope="global", title=f"Level {depth}")
        task_id = expect("createChildTask", made)["task"]["id"]
    deeper = desk.post(f"/tasks/{task_id}/children", scope="global", title="Level 9")
    refuse("createChildTask", deeper, 409)
    refuse("createChildTask", desk.post("/tasks/none/children", scope="global", title="A"), 404)
    parent = desk.task(scope="workspace", workspace=str(house.pool.id))["id"]
    outside = desk.post(f"/tasks/{parent}/children", scope="global", title="A")
    refuse("createChildTask", outside, 422)


def test_cancel__goes_down_and_leaves_what_is_finished(desk: Desk) -> None:
    root = desk.task()["id"]
    done, open_one = (
        desk.post(f"/tasks/{root}/children", scope="global", title=name).json()["task"]["id"]
        for name in ("Done", "Open")
    )
    agent = desk.agent()
    desk.started(done)
    agent.on(agent.claimed()["run"]["id"], "complete", result=1)
    run_id = desk.started(open_one)["id"]
    assert agent.claimed()["run"]["id"] == run_id
    canceled = expect("cancelTask", desk.post(f"/tasks/{root}/cancel", reason="No need"))["task"]
    assert canceled["status"] == "canceled"
    statuses = dict(Task.objects.values_list("details__wire_id", "status"))
    assert statuses == {root: "cancelled", done: "completed", open_one: "cancelled"}
    assert logged(open_one)[-2:] == ["canceled", "run_canceled"]
    late = agent.on(run_id, "complete", result=1)
    assert late.status_code == 409
    assert agent.claim().status_code == 204
    expect("cancelTask", desk.post(f"/tasks/{root}/cancel"))
    refuse("cancelTask", desk.post(f"/tasks/{done}/cancel"), 409)


def test_cancel_of_v1__is_logged_here(house: House, desk: Desk) -> None:
    task_id = desk.task()["id"]
    desk.started(task_id)
    kernel = Task.objects.get()
    assert house.alice.post(f"/v1/tasks/{kernel.id}/cancel", {}).status_code == 200
    assert logged(task_id)[-1] == "canceled"
    assert Run.objects.get().status == "canceled"


def test_pause__stops_the_subtree_from_being_handed_out(desk: Desk) -> None:
    root = desk.task()["id"]
    child = desk.post(f"/tasks/{root}/children", scope="global", title="Child").json()["task"]["id"]
    desk.started(child)
    refuse("pauseTask", desk.post(f"/tasks/{root}/pause"), 422, "force_op_requires_reason")
    paused = expect("pauseTask", desk.post(f"/tasks/{root}/pause", reason="Wait"))["task"]
    assert (paused["paused"], paused["effective_paused"]) == (True, True)
    agent = desk.agent()
    assert agent.claim().status_code == 204
    later = desk.post(f"/tasks/{root}/children", scope="global", title="Later").json()["task"]
    assert (later["effective_paused"], later["paused_by_task_id"]) == (True, root)
    resumed = expect("resumeTask", desk.post(f"/tasks/{root}/resume"))["task"]
    assert "effective_paused" not in resumed
    assert agent.claimed()["task"]["id"] == child
    expect("resumeTask", desk.post(f"/tasks/{root}/resume"))


def test_pause__of_a_child_stays_when_the_parent_goes_on(desk: Desk) -> None:
    root = desk.task()["id"]
    child = desk.post(f"/tasks/{root}/children", scope="global", title="Child").json()["task"]["id"]
    for task_id in (root, child):
        desk.post(f"/tasks/{task_id}/pause", reason="Wait")
    desk.post(f"/tasks/{root}/resume")
    shown = desk.patch(f"/tasks/{child}", title="Still").json()["task"]
    assert shown["paused_by_task_id"] == child
    desk.post(f"/tasks/{root}/cancel")
    finished = desk.post(f"/tasks/{root}/pause", reason="Too late")
    refuse("pauseTask", finished, 409, "task_run_already_terminal")


# --- delete ---------------------------------------------------------------------------------------


def test_delete__needs_a_task_without_children_and_open_run(house: House, desk: Desk) -> None:
    root = desk.task()["id"]
    child = desk.post(f"/tasks/{root}/children", scope="global", title="Child").json()["task"]["id"]
    refuse("deleteTask", desk.delete(f"/tasks/{root}"), 400)
    desk.started(child)
    refuse("deleteTask", desk.delete(f"/tasks/{child}"), 400)
    desk.post(f"/tasks/{child}/cancel")
    kernel_id = Task.objects.get(details__wire_id=child).id
    assert desk.delete(f"/tasks/{child}").status_code == 204
    refuse("deleteTask", desk.delete(f"/tasks/{child}"), 404)
    refuse("startTask", desk.post(f"/tasks/{kernel_id}/start"), 404)
    assert desk.delete(f"/tasks/{root}").status_code == 204
    assert house.alice.get(f"/v1/tasks/{kernel_id}").json()["status"] == "cancelled"


def test_delete__of_a_blocker_unblocks(desk: Desk) -> None:
    blocker, task_id = desk.task()["id"], desk.task()["id"]
    desk.post(f"/tasks/{task_id}/dependencies", depends_on_task_id=blocker)
    assert desk.delete(f"/tasks/{blocker}").status_code == 204
    assert desk.started(task_id)["status"] == "queued"


# --- runs and keys --------------------------------------------------------------------------------


def test_key__returns_the_run_that_it_made_for_ever(desk: Desk) -> None:
    task_id, other = desk.task()["id"], desk.task()["id"]
    first = expect("enqueueTaskRun", desk.post(f"/tasks/{task_id}/runs", idempotency_key="k"))
    again = expect("enqueueTaskRun", desk.post(f"/tasks/{task_id}/runs", idempotency_key="k"))
    assert again["run"]["id"] == first["run"]["id"]
    refuse("enqueueTaskRun", desk.post(f"/tasks/{other}/runs", idempotency_key="k"), 422)
    refuse("enqueueTaskRun", desk.post(f"/tasks/{task_id}/runs"), 409)
    # The key of another action is another key.
    refuse("startTask", desk.post(f"/tasks/{task_id}/start", idempotency_key="k"), 409)
    agent = desk.agent()
    agent.on(agent.claimed()["run"]["id"], "complete", result=1)
    late = expect("enqueueTaskRun", desk.post(f"/tasks/{task_id}/runs", idempotency_key="k"))
    assert (late["run"]["id"], late["run"]["status"]) == (first["run"]["id"], "completed")


def test_start_without_a_key__is_repeated_while_its_run_is_open(desk: Desk) -> None:
    task_id = desk.task()["id"]
    first = desk.started(task_id)["id"]
    assert desk.started(task_id)["id"] == first
    agent = desk.agent()
    agent.on(agent.claimed()["run"]["id"], "fail", error="no")
    assert desk.started(task_id)["id"] != first


def test_enqueue__waits_for_what_blocks_and_works_while_paused(desk: Desk) -> None:
    blocker, task_id = desk.task()["id"], desk.task()["id"]
    desk.post(f"/tasks/{task_id}/dependencies", depends_on_task_id=blocker)
    desk.post(f"/tasks/{task_id}/pause", reason="Wait")
    run = expect("enqueueTaskRun", desk.post(f"/tasks/{task_id}/runs", metadata={"n": 1}))["run"]
    assert (run["status"], run["metadata"], run["attempt"]) == ("queued", {"n": 1}, 1)


def test_owner__decides_who_may_claim(desk: Desk) -> None:
    for kind, ref in (("human", "alice"), ("pool", "writer"), ("agent_session", "s-9")):
        desk.started(desk.task(owner={"kind": kind, "ref": ref}, title=kind)["id"])
    assert desk.agent().claim().status_code == 204
    assert desk.agent(session_id="s-2", name="writer").claimed()["task"]["title"] == "pool"
    assert desk.agent(session_id="s-9").claimed()["task"]["title"] == "agent_session"
    left = Task.objects.get(status="created")
    desk.patch(f"/tasks/{left.details.wire_id}", owner={"kind": "pool", "ref": "drafter"})
    assert desk.agent(session_id="s-3").claimed()["task"]["title"] == "human"


def test_claims__of_both_kinds_of_tasks_in_one_order(house: House, desk: Desk) -> None:
    house.queued(sla={"urgency": "high"})
    for priority in ("medium", "urgent"):
        desk.started(desk.task(title=priority, priority=priority)["id"])
    agents = [desk.agent(session_id=f"s-{number}") for number in range(3)]
    order = [agent.claimed()["task"]["priority"] for agent in agents]
    assert order == ["urgent", "high", "medium"]


# --- what must not happen -------------------------------------------------------------------------


def test_approval__needs_an_editor(house: House, desk: Desk) -> None:
    task_id = desk.task(approval_policy="manual")["id"]
    viewer = desk_of(house, role=Role.VIEWER)
    refuse("approveTask", viewer.post(f"/tasks/{task_id}/approve"), 403)
    refuse("rejectTask", viewer.post(f"/tasks/{task_id}/reject"), 403)


@pytest.mark.parametrize("wrong", ["0190f3a2-1111-7222-8333-444455556666", "..", "."])
def test_id__is_neither_that_of_another_api_nor_a_path(desk: Desk, wrong: str) -> None:
    refuse("createTask", desk.post("/tasks", scope="global", title="A", id=wrong), 422)


def test_child__of_a_task_of_v1_is_refused(house: House, desk: Desk) -> None:
    task = house.task()
    below = desk.post(f"/tasks/{task.id}/children", scope="global", title="A")
    refuse("createChildTask", below, 409)


def test_failed_task__with_an_attempt_left_is_paused_and_canceled(desk: Desk) -> None:
    root = desk.task()["id"]
    made = desk.post(f"/tasks/{root}/children", scope="global", title="A", max_attempts=1)
    child = made.json()["task"]["id"]
    desk.started(child)
    agent = desk.agent()
    agent.on(agent.claimed()["run"]["id"], "fail", error="no")
    assert desk.patch(f"/tasks/{child}", max_attempts=2).json()["task"]["status"] == "ready"
    expect("pauseTask", desk.post(f"/tasks/{child}/pause", reason="Wait"))
    expect("cancelTask", desk.post(f"/tasks/{root}/cancel"))
    assert set(Task.objects.values_list("status", flat=True)) == {"cancelled"}


def test_cancel__again_leaves_what_was_created_since(desk: Desk) -> None:
    root = desk.task()["id"]
    expect("cancelTask", desk.post(f"/tasks/{root}/cancel"))
    child = desk.post(f"/tasks/{root}/children", scope="global", title="Later").json()["task"]["id"]
    expect("cancelTask", desk.post(f"/tasks/{root}/cancel"))
    assert Task.objects.get(details__wire_id=child).status == "created"


def test_deleted_task__frees_its_id_and_its_keys(desk: Desk) -> None:
    first = desk.task(id="draft-1", draft=True)["id"]
    expect("publishTask", desk.post(f"/tasks/{first}/publish"))
    expect("cancelTask", desk.post(f"/tasks/{first}/cancel"))
    assert desk.delete(f"/tasks/{first}").status_code == 204
    again = desk.task(id="draft-1", draft=True)["id"]
    expect("publishTask", desk.post(f"/tasks/{again}/publish"))


def test_run__is_not_queued_while_an_output_waits_for_its_verdict(house: House, desk: Desk) -> None:
    set_policy(house.pool)
    task_id = desk.task(scope="workspace", workspace=str(house.pool.id))["id"]
    desk.started(task_id)
    agent = desk.agent(house)
    agent.on(agent.claimed()["run"]["id"], "complete", result={"a": 1})
    shown = desk.patch(f"/tasks/{task_id}", title="Waits").json()["task"]
    assert shown["status"] == "in_progress"
    refuse("startTask", desk.post(f"/tasks/{task_id}/start"), 409)
    refuse("enqueueTaskRun", desk.post(f"/tasks/{task_id}/runs"), 409)
    assert Run.objects.count() == 1


def test_purged_task__is_neither_changed_nor_started(desk: Desk) -> None:
    task_id = desk.task()["id"]
    desk.started(task_id)
    agent = desk.agent()
    agent.on(agent.claimed()["run"]["id"], "complete", result=1)
    Task.objects.update(purged_at=clock.now())
    refuse("startTask", desk.post(f"/tasks/{task_id}/start"), 409)
    refuse("updateTask", desk.patch(f"/tasks/{task_id}", title="Again"), 409)


def test_v1__neither_reopens_nor_changes_a_task_of_this_api(house: House, desk: Desk) -> None:
    task_id = desk.task()["id"]
    kernel_id = Task.objects.get().id
    admin = desk_of(house, role=Role.ADMIN).caller
    urgent = {"sla": {"urgency": "critical"}, "reason": "VIP"}
    version = {"If-Match": admin.get(f"/v1/tasks/{kernel_id}")["ETag"]}
    changed = admin.call("PATCH", f"/v1/tasks/{kernel_id}", urgent, **version)
    assert (changed.status_code, changed.json()["code"]) == (409, "not_of_this_api")
    desk.started(task_id)
    agent = desk.agent()
    agent.on(agent.claimed()["run"]["id"], "complete", result=1)
    version = {"If-Match": admin.get(f"/v1/tasks/{kernel_id}")["ETag"]}
    reopened = admin.call("POST", f"/v1/tasks/{kernel_id}/reopen", {"reason": "Again"}, **version)
    assert (reopened.status_code, reopened.json()["code"]) == (409, "not_of_this_api")


def test_approval__of_a_task_with_a_queued_run_opens_it(desk: Desk) -> None:
    task_id = desk.task(approval_policy="manual")["id"]
    queued = expect("enqueueTaskRun", desk.post(f"/tasks/{task_id}/runs"))["run"]["id"]
    agent = desk.agent()
    assert agent.claim().status_code == 204
    approved = expect("approveTask", desk.post(f"/tasks/{task_id}/approve"))
    assert approved["run"]["id"] == queued
    assert agent.claimed()["run"]["id"] == queued


def test_approval__is_given_again_after_another_policy(desk: Desk) -> None:
    task_id = desk.task(approval_policy="manual")["id"]
    agent = desk.agent()
    for attempt in (1, 2):
        approved = expect("approveTask", desk.post(f"/tasks/{task_id}/approve"))
        assert (approved["task"]["status"], approved["run"]["attempt"]) == ("ready", attempt)
        agent.on(agent.claimed()["run"]["id"], "fail", error="no")
        desk.patch(f"/tasks/{task_id}", approval_policy="none")
        desk.patch(f"/tasks/{task_id}", approval_policy="manual")


def test_dependencies__show_the_whole_task_to_readers_only(house: House, desk: Desk) -> None:
    task_id, other = desk.task()["id"], desk.task()["id"]
    writer = desk_of(house, scopes=[Scope.TASKS_CREATE])
    added = writer.post(f"/tasks/{task_id}/dependencies", depends_on_task_id=other)
    refuse("addTaskDependency", added, 403)
    refuse("removeTaskDependency", writer.delete(f"/tasks/{task_id}/dependencies/{other}"), 403)


def test_refusals_of_a_pause__have_their_own_diagnostics(desk: Desk) -> None:
    task_id = desk.task()["id"]
    body = refuse(
        "pauseTask", desk.post(f"/tasks/{task_id}/pause"), 422, "force_op_requires_reason"
    )
    assert body["diagnostic"]["id"] == "task.pause.force_op_requires_reason"


def test_log__has_the_status_after_the_gates_moved(desk: Desk) -> None:
    blocker, task_id = desk.task()["id"], desk.task()["id"]
    desk.post(f"/tasks/{task_id}/dependencies", depends_on_task_id=blocker)
    desk.delete(f"/tasks/{task_id}/dependencies/{blocker}")
    approved = desk.task(approval_policy="manual")["id"]
    desk.post(f"/tasks/{approved}/approve")
    kinds = ("task.dependency_added", "task.dependency_removed", "task.approved")
    entries = LogEntry.objects.filter(type__in=kinds).order_by("sequence")
    assert [entry.payload["task_status"] for entry in entries] == ["blocked", "ready", "ready"]
