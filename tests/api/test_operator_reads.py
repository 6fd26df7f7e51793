"""Reads of `/api`: lists, whole tasks, trees, runs, timelines and diagnoses."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.agents.models import AgentSession
from apps.base import clock
from apps.events.models import Event
from apps.operations.log import LogType
from apps.operations.models import SchedulerState
from apps.operations.selectors import listing
from apps.operations.selectors.kernel_events import type_of
from apps.tasks.models import Run, Task
from tests.agent_steps import operator
from tests.api.agh_contract import OPERATIONS, answer_faults, error_faults
from tests.factories import NO_ID, Caller, House
from tests.listed_steps import WAYS, read_by
from tests.operator_steps import Desk, desk_of

READS = {
    "getTask": "/tasks/{task}",
    "getTaskTree": "/tasks/{task}/tree",
    "listTaskRuns": "/tasks/{task}/runs",
    "getTaskTimeline": "/tasks/{task}/timeline",
    "inspectTask": "/tasks/{task}/inspect",
    "getTaskRun": "/task-runs/{run}",
    "inspectRun": "/runs/{run}/inspect",
}


@pytest.fixture(autouse=True, params=WAYS)
def way(request: pytest.FixtureRequest, database: None) -> str:
    """Run each test by both ways in which these figures are read."""
    read_by(request.param)
    return str(request.param)


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


def expect(operation_id: str, response: Any, status: int = 200) -> Any:
    assert response.status_code == status, response.content
    body = response.json()
    faults = answer_faults(operation_id, body) if status < 300 else error_faults(body)
    assert faults == []
    return body


def read(desk: Desk, operation_id: str, status: int = 200, *, task: str = "", run: str = "") -> Any:
    path = READS[operation_id].format(task=task, run=run)
    return expect(operation_id, desk.get(path), status)


def ids(desk: Desk, **query: Any) -> list[str]:
    body = expect("listTasks", desk.get("/tasks", **query))
    return [task["id"] for task in body["tasks"]]


def child(desk: Desk, parent: str, **fields: Any) -> dict[str, Any]:
    body = {"scope": "global", "title": "Part", **fields}
    made: dict[str, Any] = desk.post(f"/tasks/{parent}/children", **body).json()["task"]
    return made


def depend(desk: Desk, task: str, other: str) -> Any:
    answer = desk.post(f"/tasks/{task}/dependencies", depends_on_task_id=other)
    return expect("addTaskDependency", answer)["task"]


def session_desk(house: House, session_id: str = "s-1") -> tuple[Desk, Any]:
    desk = desk_of(house)
    return desk, desk.agent(house, session_id)


# --- the list -------------------------------------------------------------------------------------


def test_list__newest_activity_first(desk: Desk) -> None:
    first, second = desk.task(title="a")["id"], desk.task(title="b")["id"]
    assert ids(desk) == [second, first]
    desk.started(first)
    assert ids(desk) == [first, second]
    desk.patch(f"/tasks/{second}", title="c")
    assert ids(desk) == [second, first]
    assert ids(desk, limit=1) == [second]
    assert ids(desk, limit=0) == ids(desk, limit="") == [second, first]


def test_list__is_the_same_by_the_latest_events(
    house: House, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [desk.task()["id"] for _ in range(4)]
    other = str(house.queued().id)
    desk.patch(f"/tasks/{made[1]}", title="Latest")
    expected = [made[1], other, made[3], made[2], made[0]]
    monkeypatch.setattr(listing, "LATE", timedelta(0))
    for most in (1, 2, 3, 5, 20):
        monkeypatch.setattr(listing, "MAX_SCANNED", most)
        for limit in range(1, 6):
            assert ids(desk, limit=limit) == expected[:limit], (most, limit)
        assert ids(desk, query="latest") == [made[1]]


def test_list__leaves_drafts_out_unless_asked(desk: Desk) -> None:
    draft, task = desk.task(draft=True)["id"], desk.task()["id"]
    assert ids(desk) == [task]
    assert ids(desk, limit=1, include_drafts="false") == [task]
    for flag in ("1", "t", "TRUE"):
        assert ids(desk, include_drafts=flag) == [task, draft]
    assert ids(desk, status=" Draft ") == [draft]


def test_list__is_empty_without_tasks(desk: Desk) -> None:
    assert expect("listTasks", desk.get("/tasks")) == {"tasks": []}


def test_list__filters_are_anded(house: House, desk: Desk) -> None:
    plain = desk.task(title="Draft the reply")["id"]
    full = desk.task(
        title="Call back",
        scope="workspace",
        workspace=house.pool.name,
        priority="urgent",
        approval_policy="manual",
        owner={"kind": "pool", "ref": "drafter"},
        network_channel="ops",
        identifier="IR-48219",
    )["id"]
    below = child(desk, plain)["id"]
    for query in (
        {"scope": "workspace", "workspace": house.pool.name},
        {"workspace": str(house.pool.id)},
        {"status": "blocked"},
        {"priority": "URGENT"},
        {"approval_state": "pending"},
        {"owner_kind": "pool"},
        {"owner_ref": "drafter"},
        {"network_channel": "ops"},
        {"query": "ir-482"},
        {"query": "CALL"},
    ):
        assert ids(desk, **query) == [full], query
        assert ids(desk, **query, title="x", limit=5) == [full]
    assert ids(desk, parent_task_id=plain) == [below]
    assert ids(desk, parent_task_id="task-none") == []
    assert ids(desk, scope="global") == [below, plain]
    assert ids(desk, approval_state="not_required") == [below, plain]
    assert ids(desk, query="call", priority="low") == []
    assert ids(desk, query="%") == []


@pytest.mark.parametrize(
    "query",
    [
        {"scope": "team"},
        {"status": "open"},
        {"priority": "20"},
        {"include_drafts": "yes"},
        {"approval_state": "maybe"},
        {"owner_kind": "team"},
        {"limit": "-1"},
        {"limit": "1.5"},
        {"scope": "workspace"},
        {"scope": "global", "workspace": "Ops"},
        {"query": "\x00"},
        {"workspace": "\x00"},
    ],
    ids=str,
)
def test_list__refuses_what_is_invalid(desk: Desk, query: dict[str, str]) -> None:
    expect("listTasks", desk.get("/tasks", **query), 422)


def test_list__of_an_unknown_workspace_is_404(desk: Desk, house: House) -> None:
    for text in ("nowhere", NO_ID, str(house.strangers_pool.id), house.strangers_pool.name):
        if text != house.pool.name:
            expect("listTasks", desk.get("/tasks", workspace=text), 404)


def test_list__has_the_tasks_of_other_apis(house: House, desk: Desk) -> None:
    task = house.queued(origin={"product": "threatlabs", "request_id": "IR-48219"})
    (shown,) = expect("listTasks", desk.get("/tasks", query="ir-48219"))["tasks"]
    assert (shown["id"], shown["identifier"], shown["status"]) == (
        str(task.id),
        "IR-48219",
        "ready",
    )
    assert shown["active_run"]["status"] == "queued"


def test_status_filter__finds_what_is_shown(house: House, desk: Desk) -> None:
    blocker = desk.task()["id"]
    depend(desk, desk.task()["id"], blocker)
    desk.task(draft=True)
    desk.post(f"/tasks/{desk.task()['id']}/cancel")
    agent = desk.agent()
    for verb, body in (("complete", {"result": 1}), ("fail", {"error": "no"})):
        for attempts in (1, 2):
            desk.started(desk.task(max_attempts=attempts)["id"])
            agent.on(agent.claimed()["run"]["id"], verb, **body)
    desk.started(blocker)
    claimed = agent.claimed()["run"]["id"]
    house.completed()
    house.started()
    house.queued()
    house.task()
    for starting in (False, True):
        if starting:
            Run.objects.filter(id=claimed).update(status="starting")
        all_tasks = expect("listTasks", desk.get("/tasks", include_drafts=1))["tasks"]
        statuses = {one["id"]: one["status"] for one in all_tasks}
        assert len(statuses) == Task.objects.count()
        for status in ("draft", "pending", "blocked", "ready", "in_progress", "completed"):
            expected = {id_ for id_, shown in statuses.items() if shown == status}
            assert set(ids(desk, status=status)) == expected, status
        for status in ("failed", "canceled"):
            expected = {id_ for id_, shown in statuses.items() if shown == status}
            assert set(ids(desk, status=status)) == expected != set(), status


def test_list__shows_no_deleted_task(desk: Desk) -> None:
    task = desk.task()["id"]
    assert desk.delete(f"/tasks/{task}").status_code == 204
    assert ids(desk) == []
    for name in ("getTask", "getTaskTree", "listTaskRuns", "getTaskTimeline", "inspectTask"):
        read(desk, name, 404, task=task)


# --- access ---------------------------------------------------------------------------------------


def test_reads__of_another_organisation_are_404(house: House, desk: Desk) -> None:
    task = desk.task()["id"]
    run = desk.started(task)["id"]
    key = issue_key(
        organisation_id=house.strangers_pool.organisation_id,
        name="Stranger",
        role=Role.MANAGER,
        scopes=[Scope.TASKS_READ],
    )
    stranger = Desk(Caller(key))
    for name in READS:
        read(stranger, name, 404, task=task, run=run)
        for unknown in (NO_ID, "task-none", "a%00b"):
            read(desk, name, 404, task=unknown, run=unknown)
    assert ids(stranger) == []


def test_reads__need_the_scope(house: House, desk: Desk) -> None:
    task = desk.task()["id"]
    run = desk.started(task)["id"]
    poor = Desk(operator(house, scopes=[Scope.POOLS_READ]))
    for name in READS:
        read(poor, name, 403, task=task, run=run)
    expect("listTasks", poor.get("/tasks"), 403)
    expect("listTasks", Desk(Caller("bl_live_none")).get("/tasks"), 401)


def test_reads__are_open_to_a_session(house: House) -> None:
    desk, _ = session_desk(house)
    task = desk.task()["id"]
    headers = {"X-AGH-Session-ID": "s-1", "X-AGH-Agent": "drafter"}
    assert desk.caller.get(f"/api/tasks/{task}", **headers).status_code == 200
    headers["X-AGH-Agent"] = "other"
    expect("getTask", desk.caller.get(f"/api/tasks/{task}", **headers), 401)


def test_reads__of_a_key_for_a_pool_show_its_tasks_alone(house: House, desk: Desk) -> None:
    root = desk.task()["id"]
    workspace = {"scope": "workspace", "workspace": house.pool.name}
    seen, hidden = child(desk, root, **workspace)["id"], child(desk, root)["id"]
    depend(desk, seen, hidden)
    limited = desk_of(house, pool_ids=[house.pool.id])
    assert ids(limited) == [seen]
    read(limited, "getTask", 404, task=root)
    shown = read(limited, "getTask", task=seen)["task"]
    assert "dependencies" not in shown
    assert shown["task"]["status"] == "blocked"


def test_reads__of_a_key_for_a_pool_name_no_task_of_others(house: House, desk: Desk) -> None:
    """Not as parent, as what pauses it, in its log, nor as what was cancelled with it."""
    root, hidden = desk.task()["id"], desk.task()["id"]
    seen = child(desk, root, scope="workspace", workspace=house.pool.name)["id"]
    below = child(desk, seen, scope="workspace", workspace=house.pool.name)["id"]
    run = desk.started(seen)["id"]
    depend(desk, seen, hidden)
    desk.post(f"/tasks/{root}/pause", reason="Wait")
    limited = desk_of(house, pool_ids=[house.pool.id])

    def told(shown: Desk) -> str:
        answers = [
            shown.get("/tasks"),
            *(shown.get(f"/tasks/{seen}{rest}") for rest in ("", "/tree", "/timeline", "/inspect")),
            shown.get(f"/task-runs/{run}"),
            shown.get(f"/runs/{run}/inspect"),
            shown.get(f"/tasks/{seen}/runs"),
            shown.get("/observe/tasks/inbox"),
            shown.get("/scheduler/backlog", include_paused="true"),
            shown.patch(f"/tasks/{seen}", title="Another"),
            shown.post(f"/tasks/{seen}/resume"),
            shown.get(f"/tasks/{below}"),
        ]
        assert {answer.status_code for answer in answers} == {200}
        return " ".join(answer.content.decode() for answer in answers)

    assert all(name in told(desk) for name in (root, hidden))
    text = told(limited)
    assert not any(name in text for name in (root, hidden))
    # What it may see is named as ever.
    shown = read(limited, "getTask", task=below)["task"]
    assert shown["task"]["parent_task_id"] == seen
    assert shown["task"]["effective_paused"] is True
    assert "paused_by_task_id" not in shown["task"]
    (created,) = [one for one in shown["events"] if one["event_type"] == "task.created"]
    assert created["payload"]["parent_task_id"] == seen
    desk.post(f"/tasks/{root}/cancel")
    assert root not in limited.get(f"/tasks/{seen}/timeline").content.decode()


# --- one task -------------------------------------------------------------------------------------


def test_task__has_all_that_belongs_to_it(house: House, desk: Desk) -> None:
    task, other, last = desk.task()["id"], desk.task()["id"], desk.task()["id"]
    older, newer = child(desk, task)["id"], child(desk, task)["id"]
    depend(desk, task, other)
    shown = depend(desk, task, last)
    assert shown == read(desk, "getTask", task=task)["task"]
    assert [one["id"] for one in shown["children"]] == [newer, older]
    assert [one["depends_on_task_id"] for one in shown["dependencies"]] == [other, last]
    references = shown["dependency_references"]
    assert [one["depends_on"]["id"] for one in references] == [other, last]
    assert references == shown["summary"]["dependencies"]
    assert (shown["summary"]["child_count"], shown["summary"]["dependency_count"]) == (2, 2)
    types = [event["event_type"] for event in shown["events"]]
    assert types == [
        "task.dependency_added",
        "task.dependency_added",
        "task.child_created",
        "task.child_created",
        "task.created",
    ]
    assert shown["task"]["latest_event_seq"] == shown["summary"]["latest_event_seq"]
    assert shown["events"][0]["id"] == f"evt-{shown['task']['latest_event_seq']}"
    assert "runs" not in shown
    removed = expect("removeTaskDependency", desk.delete(f"/tasks/{task}/dependencies/{other}"))
    assert [one["depends_on_task_id"] for one in removed["task"]["dependencies"]] == [last]


def test_task__of_another_api_is_read_with_defaults(house: House, desk: Desk) -> None:
    run = house.started()
    shown = read(desk, "getTask", task=str(run.task_id))["task"]
    assert shown["task"]["status"] == "in_progress"
    assert shown["task"]["approval_state"] == "not_required"
    assert shown["task"]["current_run_id"] == str(run.id)
    assert [one["status"] for one in shown["runs"]] == ["running"]
    for name in READS:
        read(desk, name, task=str(run.task_id), run=str(run.id))


def test_paused_task__says_by_whom(desk: Desk) -> None:
    task = desk.task()["id"]
    below = child(desk, task)["id"]
    paused = expect("pauseTask", desk.post(f"/tasks/{task}/pause", reason="Closed"))["task"]
    assert paused["paused_by"] == f"human:{desk.caller.principal.text}"
    shown = read(desk, "getTask", task=below)["task"]
    assert shown["task"]["paused_by_task_id"] == task
    assert "paused" not in shown["task"]
    resumed = expect("resumeTask", desk.post(f"/tasks/{task}/resume"))["task"]
    assert "paused_by" not in resumed


def test_tree__by_depth_then_activity(desk: Desk) -> None:
    root = desk.task()["id"]
    first, second = child(desk, root)["id"], child(desk, root)["id"]
    third = child(desk, first)["id"]
    tree = read(desk, "getTaskTree", task=root)["tree"]
    assert "depth" in tree["root"]
    assert (tree["root"]["depth"], tree["root"]["child_count"]) == (0, 2)
    nodes = [
        (node["task"]["id"], node["depth"], node["parent_task_id"]) for node in tree["descendants"]
    ]
    # A new child is an event of its parent.
    assert nodes == [(first, 1, root), (second, 1, root), (third, 2, first)]
    assert desk.delete(f"/tasks/{third}").status_code == 204
    tree = read(desk, "getTaskTree", task=root)["tree"]
    assert len(tree["descendants"]) == 2
    assert "descendants" not in read(desk, "getTaskTree", task=second)["tree"]


# --- runs -----------------------------------------------------------------------------------------


def two_runs(house: House) -> tuple[Desk, str, str, str]:
    """Return a task whose first run failed and whose second is claimed."""
    desk, agent = session_desk(house)
    task = desk.task(scope="workspace", workspace=house.pool.name)["id"]
    first = desk.started(task)["id"]
    agent.claimed()
    agent.on(first, "fail", error="The portal does not answer.")
    second = desk.started(task)["id"]
    agent.claimed()
    return desk, task, first, second


def test_runs__newest_first_and_filtered(house: House) -> None:
    desk, task, first, second = two_runs(house)

    def found(**query: Any) -> list[str]:
        body = expect("listTaskRuns", desk.get(f"/tasks/{task}/runs", **query))
        return [run["id"] for run in body["runs"]]

    assert found() == [second, first]
    assert found(limit=1) == [second]
    assert found(status="FAILED") == [first]
    assert found(session_id="s-1") == [second, first]
    assert found(session_id="s-2") == []
    assert found(status="claimed", session_id="s-1") == [second]
    for query in ({"status": "open"}, {"limit": "x"}, {"session_id": "\x00"}):
        expect("listTaskRuns", desk.get(f"/tasks/{task}/runs", **query), 422)


def test_runs__of_a_task_without_any(desk: Desk) -> None:
    assert read(desk, "listTaskRuns", task=desk.task()["id"]) == {"runs": []}


def test_run__with_its_session_and_latest_event(house: House) -> None:
    desk, task, first, second = two_runs(house)
    shown = read(desk, "getTaskRun", run=second)["run"]
    assert shown["task"]["id"] == task
    assert shown["session"]["session_id"] == "s-1"
    assert shown["session"]["workspace_id"] == str(house.pool.id)
    assert shown["summary"]["last_event_type"] == "task.run_claimed"
    assert shown["summary"]["last_activity_at"] == shown["run"]["claimed_at"]
    assert "coordination_channel" not in shown["run"]
    assert read(desk, "getTaskRun", run=first)["run"]["summary"]["last_event_type"] == (
        "task.run_failed"
    )
    waiting = desk.started(desk.task()["id"])["id"]
    assert "session" not in read(desk, "getTaskRun", run=waiting)["run"]


# --- the timeline ---------------------------------------------------------------------------------


def test_timeline__ascends_after_a_sequence(house: House) -> None:
    desk, task, first, _ = two_runs(house)
    child(desk, task, scope="workspace", workspace=house.pool.name)
    items = read(desk, "getTaskTimeline", task=task)["timeline"]
    assert [item["event_type"] for item in items] == [
        "task.created",
        "task.run_enqueued",
        "task.run_claimed",
        "task.run_failed",
        "task.run_enqueued",
        "task.run_claimed",
        "task.child_created",
    ]
    numbers = [item["sequence"] for item in items]
    assert numbers == sorted(set(numbers))
    # Task and run as they are now.
    assert {item["task"]["latest_event_seq"] for item in items} == {numbers[-1]}
    assert (items[1]["run"]["id"], items[1]["run"]["status"]) == (first, "failed")
    assert items[1]["run"]["max_attempts"] == 3

    def after(**query: Any) -> list[int]:
        body = expect("getTaskTimeline", desk.get(f"/tasks/{task}/timeline", **query))
        return [item["sequence"] for item in body["timeline"]]

    assert after(after_sequence=numbers[1]) == numbers[2:]
    assert after(after_sequence=numbers[1], limit=2) == numbers[2:4]
    assert after(after_sequence=0, limit=0) == numbers
    assert after(after_sequence=numbers[-1]) == []
    for query in ({"after_sequence": "-1"}, {"after_sequence": "x"}, {"after_sequence": 2**63}):
        expect("getTaskTimeline", desk.get(f"/tasks/{task}/timeline", **query), 422)
    expect("getTaskTimeline", desk.get(f"/tasks/{task}/timeline", limit="-1"), 422)


def test_timeline__of_another_api_is_made_of_the_kernels_events(house: House, desk: Desk) -> None:
    task = house.completed()
    items = read(desk, "getTaskTimeline", task=str(task.id))["timeline"]
    types = [item["event_type"] for item in items]
    assert [name for name in types if name != "task.updated"] == [
        "task.created",
        "task.run_enqueued",
        "task.run_claimed",
        "task.run_started",
        "task.run_completed",
    ]
    assert items[-1]["payload"]["event"] == "task.completed"
    shown = read(desk, "getTask", task=str(task.id))["task"]
    assert shown["task"]["latest_event_seq"] == items[-1]["sequence"]
    assert shown["events"][0]["id"] == items[-1]["event_id"]


def test_numbers__are_shared_by_both_logs(house: House, desk: Desk) -> None:
    first = desk.task()["latest_event_seq"]
    other = read(desk, "getTask", task=str(house.task().id))["task"]["task"]["latest_event_seq"]
    assert first < other < desk.task()["latest_event_seq"]


HELD = {"run_id": NO_ID}


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (Event(type="task.drafted", data={}), LogType.CREATED),
        (Event(type="task.created", data={}), LogType.CREATED),
        (Event(type="task.created", previous_status="draft", data={}), LogType.PUBLISHED),
        (Event(type="task.queued", previous_status="created", data=HELD), LogType.RUN_ENQUEUED),
        (Event(type="task.queued", previous_status="submitted", data=HELD), LogType.RUN_ENQUEUED),
        (Event(type="task.queued", previous_status="failed", data=HELD), LogType.RUN_ENQUEUED),
        (Event(type="task.queued", previous_status="offered", data={}), LogType.UPDATED),
        (Event(type="task.queued", previous_status="started", data=HELD), LogType.RUN_RELEASED),
        (
            Event(type="task.queued", previous_status="accepted", data={"reason": "lease_ended"}),
            LogType.RUN_LEASE_EXPIRED,
        ),
        (
            Event(type="task.queued", previous_status="started", data={"reason": "run_failed"}),
            LogType.RUN_FAILED,
        ),
        (Event(type="task.accepted", data=HELD), LogType.RUN_CLAIMED),
        (Event(type="task.started", data=HELD), LogType.RUN_STARTED),
        (Event(type="task.submitted", data=HELD), LogType.RUN_COMPLETED),
        (Event(type="task.failed", data={}), LogType.RUN_FAILED),
        (Event(type="task.cancelled", data={}), LogType.CANCELED),
        (Event(type="task.offered", data={}), LogType.UPDATED),
    ],
    ids=lambda value: str(value) if isinstance(value, LogType) else f"{value.type} {value.data}",
)
def test_kernels_event__in_the_words_of_the_log(event: Event, shown: LogType) -> None:
    assert type_of(event) is shown


# --- diagnoses ------------------------------------------------------------------------------------


def inspected(desk: Desk, task: str) -> dict[str, Any]:
    shown: dict[str, Any] = read(desk, "inspectTask", task=task)["inspect"]
    return shown


def codes(shown: dict[str, Any]) -> list[str]:
    return [one["code"] for one in shown.get("diagnostics", [])]


def aged(run_id: str, **ages: float) -> None:
    """Move times of a run into the past, by minutes."""
    at = clock.now()
    Run.objects.filter(id=run_id).update(
        **{name: at - timedelta(minutes=age) for name, age in ages.items()}
    )


def test_inspect__a_task_without_a_run(desk: Desk) -> None:
    task = desk.task()["id"]
    shown = inspected(desk, task)
    assert (shown["target"], shown["next_action"]) == ("task", "waiting_for_session")
    assert "current_run" not in shown
    desk.post(f"/tasks/{task}/cancel")
    assert inspected(desk, task)["next_action"] == "terminal"


def test_inspect__a_queued_run(house: House, desk: Desk) -> None:
    task = desk.task()["id"]
    run = desk.started(task)["id"]
    assert inspected(desk, task)["next_action"] == "waiting_for_session"
    aged(run, queued_at=6)
    # No session is known at all.
    assert codes(inspected(desk, task)) == []
    desk.agent(house)
    shown = inspected(desk, task)
    assert (codes(shown), shown["next_action"]) == (["task_run_stranded"], "stranded")
    (diagnostic,) = shown["diagnostics"]
    assert diagnostic["id"] == f"task.inspect.task_run_stranded.{run}"
    assert (diagnostic["severity"], diagnostic["data_freshness"]) == ("warn", "live")
    assert diagnostic["evidence"]["threshold_seconds"] == 300
    SchedulerState.objects.create(
        organisation_id=house.organisation.id,
        paused_at=clock.now(),
        paused_by_kind="human",
        paused_by_ref="x",
        reason="Closed",
    )
    shown = inspected(desk, task)
    assert (codes(shown), shown["next_action"]) == ([], "waiting_for_session")
    assert shown["scheduler"]["paused_by"] == "human:x"
    SchedulerState.objects.all().delete()
    desk.agent(session_id="s-2")
    shown = inspected(desk, task)
    assert (codes(shown), shown["next_action"]) == ([], "claim_available")


def test_inspect__a_claimed_run(house: House) -> None:
    desk, task, first, second = two_runs(house)
    shown = inspected(desk, task)
    assert (codes(shown), shown["next_action"]) == ([], "running")
    assert [one["run_id"] for one in shown["recent_runs"]] == [second, first]
    current = shown["current_run"]
    assert (current["run_id"], current["retries"]) == (second, 1)
    assert len(current["claim_token_hash_truncated"]) == 8
    assert shown["bound_session"]["state"] == "active"
    assert shown["recent_runs"][1]["failure_kind"] == "error"
    assert shown["recent_runs"][1]["last_error_summary"] == "The portal does not answer."
    outcomes = {one["type"]: one["outcome"] for one in shown["recent_events"]}
    assert (outcomes["task.run_failed"], outcomes["task.run_claimed"]) == ("failure", "info")
    aged(second, heartbeat_at=3)
    shown = inspected(desk, task)
    assert (codes(shown), shown["next_action"]) == (["task_run_stuck"], "recovery_required")
    assert shown["current_run"]["heartbeat_age_seconds"] >= 180
    aged(second, heartbeat_at=3, lease_until=1)
    assert codes(inspected(desk, task)) == ["task_run_stuck", "task_run_stale_lease"]


def test_inspect__a_run_whose_session_is_gone(house: House) -> None:
    desk, task, first, _ = two_runs(house)
    AgentSession.objects.update(state="stopped", ended_at=clock.now())
    shown = inspected(desk, task)
    assert (codes(shown), shown["next_action"]) == (["task_run_orphan"], "recovery_required")
    AgentSession.objects.update(session_id="s-9")
    shown = inspected(desk, task)
    assert shown["bound_session"] == {"session_id": "s-1", "state": "missing"}
    assert codes(shown) == ["task_run_orphan"]
    # A finished run keeps its hash: it is no orphan, and the later attempt follows it.
    asked = read(desk, "inspectRun", run=first)["inspect"]
    assert (asked["target"], asked["current_run"]["run_id"]) == ("run", first)
    assert codes(asked) == []
    assert asked["next_action"] == "terminal"
    assert {one["run_id"] for one in asked["recent_events"]} == {first}


def test_inspect__a_failed_run(desk: Desk) -> None:
    task = desk.task()["id"]
    run = desk.started(task)["id"]
    agent = desk.agent()
    agent.claimed()
    agent.on(run, "fail", error="é" * 200)
    shown = inspected(desk, task)
    assert (codes(shown), shown["next_action"]) == (["task_run_crashed"], "recovery_required")
    assert shown["current_run"]["last_error_summary"] == "é" * 80
    desk.started(task)
    assert codes(read(desk, "inspectRun", run=run)["inspect"]) == []


def test_inspect__finished_and_starved_runs(desk: Desk) -> None:
    task = desk.task()["id"]
    run = desk.started(task)["id"]
    Run.objects.filter(id=run).update(status="needs_attention")
    assert inspected(desk, task)["next_action"] == "recovery_required"
    Run.objects.filter(id=run).update(status="queued")
    agent = desk.agent()
    agent.claimed()
    agent.on(run, "complete", result={"ok": True})
    shown = inspected(desk, task)
    assert (codes(shown), shown["next_action"]) == ([], "terminal")


# --- answers of writes ----------------------------------------------------------------------------


def test_writes__answer_as_is_published(house: House, desk: Desk) -> None:
    fields = {
        "scope": "workspace",
        "workspace": house.pool.name,
        "title": "Draft the reply",
        "description": "Politely.",
        "metadata": {"ticket": 48219},
        "owner": {"kind": "pool", "ref": "drafter"},
        "identifier": "IR-48219",
        "network_channel": "ops",
        "approval_policy": "manual",
        "auto_enqueue_on_ready": True,
    }
    task = expect("createTask", desk.post("/tasks", **fields), 201)["task"]["id"]
    path = f"/tasks/{task}"
    expect("createChildTask", desk.post(f"{path}/children", **fields), 201)
    expect("updateTask", desk.patch(path, clear_owner=True, priority="urgent"))
    expect("rejectTask", desk.post(f"{path}/reject"))
    expect("updateTask", desk.patch(path, approval_policy="none"))
    expect("updateTask", desk.patch(path, approval_policy="manual"))
    body = {"idempotency_key": "k-1", "network_channel": "ops", "metadata": {"try": 1}}
    approved = expect("approveTask", desk.post(f"{path}/approve", **body), 201)
    assert approved["task"]["approval_state"] == "approved"
    agent = desk.agent(house)
    agent.claimed()
    assert agent.on(approved["run"]["id"], "fail", error="No answer.").status_code == 200
    expect("startTask", desk.post(f"{path}/start", **body), 201)
    expect("cancelTask", desk.post(f"{path}/cancel", reason="Not needed", metadata={"a": 1}))
    draft = desk.task(draft=True)["id"]
    expect("publishTask", desk.post(f"/tasks/{draft}/publish"))
    expect("enqueueTaskRun", desk.post(f"/tasks/{desk.task()['id']}/runs", **body), 201)
    other = desk.task()["id"]
    assert desk.delete(f"/tasks/{other}").status_code == 204


# --- costs ----------------------------------------------------------------------------------------


def statements(desk: Desk, path: str) -> int:
    assert desk.get(path).status_code == 200
    with CaptureQueriesContext(connection) as captured:
        assert desk.get(path).status_code == 200
    return len(captured)


def test_reads__need_as_many_statements_for_many_rows(house: House) -> None:
    desk, task, first, _ = two_runs(house)
    workspace = {"scope": "workspace", "workspace": house.pool.name}

    def grow(number: int) -> None:
        for _ in range(number):
            below = child(desk, task, **workspace)["id"]
            desk.started(below)
            depend(desk, task, below)
            desk.post(f"/tasks/{below}/pause", reason="Closed")

    grow(1)
    paths = ["/tasks", *(path.format(task=task, run=first) for path in READS.values())]
    before = {path: statements(desk, path) for path in paths}
    grow(6)
    assert {path: statements(desk, path) for path in paths} == before
    assert max(before.values()) < 45, before


def test_every_documented_status__is_in_the_contract() -> None:
    for name in [*READS, "listTasks"]:
        assert OPERATIONS[name]["error_statuses"] == [404, 422, 500, 503]
