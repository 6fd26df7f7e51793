"""`/api/scheduler`: pause, resume and drain what hands out runs, and list what waits for it."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections

from apps.accounts.models import AuditEvent
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.api.operations.document import openapi
from apps.base import clock
from apps.operations.models import SchedulerState
from apps.operations.services import scheduling
from apps.pools.models import Pool
from apps.pools.services import provision_pool
from apps.tasks.models import Run
from tests.agent_steps import for_pool
from tests.api.agh_contract import OPERATIONS, answer_faults, error_faults
from tests.factories import Caller, House
from tests.listed_steps import WAYS, read_by
from tests.operator_steps import Desk, desk_of


def expect(operation_id: str, response: Any, status: int = 200) -> Any:
    assert response.status_code == status, response.content
    body = response.json()
    assert answer_faults(operation_id, body) == []
    return body


def refused(response: Any, status: int) -> Any:
    assert response.status_code == status, response.content
    assert error_faults(response.json()) == []
    return response.json()


def audited() -> list[str]:
    events = AuditEvent.objects.filter(action__startswith="scheduler.").order_by("id")
    return list(events.values_list("action", flat=True))


@pytest.fixture(autouse=True, params=WAYS)
def way(request: pytest.FixtureRequest, database: None) -> str:
    """Run each test by both ways in which these figures are read."""
    read_by(request.param)
    return str(request.param)


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


@pytest.fixture
def other_desk(house: House) -> Desk:
    """Provide the calls of another organisation's manager."""
    key = issue_key(
        organisation_id=house.charlie.principal.organisation_id,
        name="Stranger",
        role=Role.MANAGER,
        scopes=[scope for scope in Scope if scope is not Scope.WORK],
    )
    return Desk(Caller(key))


def new_pool(house: House) -> Pool:
    return provision_pool(organisation_id=house.organisation.id, name="Night shift")


def waiting(desk: Desk, house: House, **fields: Any) -> str:
    """Return a queued run of a new task in the house's pool."""
    task = desk.task(scope="workspace", workspace=house.pool.name, **fields)
    run_id: str = desk.started(task["id"])["id"]
    return run_id


def aged(run_id: str, **age: float) -> None:
    """Have a run wait for as long."""
    queued_at = clock.now() - timedelta(**age)
    run = Run.objects.get(id=run_id)
    Run.objects.filter(id=run_id).update(queued_at=queued_at)
    type(run.task).objects.filter(id=run.task_id).update(run_queued_at=queued_at)


# --- state ----------------------------------------------------------------------------------------


def test_state__counts_runs_by_status(house: House, desk: Desk) -> None:
    agent = desk.agent(house)
    waiting(desk, house, priority="urgent")
    agent.claimed()
    old, paused = waiting(desk, house), waiting(desk, house)
    waiting(desk, house)
    aged(old, minutes=2)
    aged(paused, minutes=9)
    task_id = str(Run.objects.get(id=paused).task.details.wire_id)
    assert desk.post(f"/tasks/{task_id}/pause", reason="later").status_code == 200
    state = expect("getScheduler", desk.get("/scheduler"))["scheduler"]
    del state["as_of"]
    assert state == {
        "paused": False,
        "active_claim_count": 1,
        "queued_run_count": 3,
        "paused_task_count": 1,
        "starved_run_count": 1,
        "needs_attention_run_count": 0,
    }


def test_state__has_queued_runs_of_other_apis(house: House, desk: Desk) -> None:
    house.queued()
    state = desk.get("/scheduler").json()["scheduler"]
    assert (state["queued_run_count"], state["active_claim_count"]) == (1, 0)


def test_state__leaves_out_what_people_hold(house: House, desk: Desk) -> None:
    house.accepted()
    state = desk.get("/scheduler").json()["scheduler"]
    assert (state["queued_run_count"], state["active_claim_count"]) == (0, 0)
    assert desk.post("/scheduler/drain", timeout_seconds=0).json()["completed"]


def test_state__has_what_sessions_hold_of_other_apis(house: House, desk: Desk) -> None:
    for_pool(house)
    desk.agent(house).claimed()
    assert desk.get("/scheduler").json()["scheduler"]["active_claim_count"] == 1


def test_state__counts_only_the_pools_of_the_credential(house: House, desk: Desk) -> None:
    waiting(desk, house)
    other = desk_of(house, pool_ids=[new_pool(house).id])
    assert other.get("/scheduler").json()["scheduler"]["queued_run_count"] == 0


def test_state__is_of_one_organisation(house: House, desk: Desk, other_desk: Desk) -> None:
    waiting(desk, house)
    desk.post("/scheduler/pause")
    state = expect("getScheduler", other_desk.get("/scheduler"))["scheduler"]
    assert not state["paused"]
    assert state["queued_run_count"] == 0


# --- pause and resume -----------------------------------------------------------------------------


def test_pause__stops_claims_until_it_is_resumed(house: House, desk: Desk) -> None:
    waiting(desk, house)
    agent = desk.agent(house)
    state = expect("pauseScheduler", desk.post("/scheduler/pause", reason="noon"))["scheduler"]
    assert state["paused"]
    assert state["paused_reason"] == "noon"
    assert state["paused_by"].startswith("human:")
    assert agent.claim().status_code == 204
    state = expect("resumeScheduler", desk.post("/scheduler/resume"))["scheduler"]
    assert not state["paused"]
    assert not {"paused_at", "paused_by", "paused_reason"} & state.keys()
    agent.claimed()
    assert audited() == ["scheduler.paused", "scheduler.resumed"]


def test_pause__takes_no_body(desk: Desk) -> None:
    expect("pauseScheduler", desk.caller.post("/api/scheduler/pause"))
    expect("resumeScheduler", desk.caller.post("/api/scheduler/resume"))


def test_pause__again_changes_nothing(desk: Desk) -> None:
    desk.post("/scheduler/pause", reason="noon")
    first = SchedulerState.objects.values().get()
    again = expect("pauseScheduler", desk.post("/scheduler/pause", reason="later"))
    assert again["scheduler"]["paused_reason"] == "noon"
    assert SchedulerState.objects.values().get() == first
    desk.post("/scheduler/resume")
    desk.post("/scheduler/resume")
    assert audited() == ["scheduler.paused", "scheduler.resumed"]


def test_pause__leaves_what_is_held(house: House, desk: Desk) -> None:
    waiting(desk, house)
    agent = desk.agent(house)
    run_id = agent.claimed()["run"]["id"]
    desk.post("/scheduler/pause")
    assert agent.on(run_id, "heartbeat").status_code == 200
    assert agent.on(run_id, "complete", result={}).status_code == 200


def test_pause__by_a_session_names_it(house: House, desk: Desk) -> None:
    agent = desk.agent(house)
    identity = {"X-AGH-Session-ID": agent.session_id, "X-AGH-Agent": agent.name}
    answer = desk.caller.post("/api/scheduler/pause", {}, **identity)
    assert expect("pauseScheduler", answer)["scheduler"]["paused_by"] == "agent_session:s-1"
    entry = AuditEvent.objects.get(action="scheduler.paused")
    assert entry.data == {"session_id": "s-1"}
    assert entry.subject_id == str(house.organisation.id)


@pytest.mark.parametrize("path", ["pause", "resume", "drain"])
def test_switch__refuses_a_reason_that_is_no_text(desk: Desk, path: str) -> None:
    refused(desk.post(f"/scheduler/{path}", reason=7), 422)
    assert not SchedulerState.objects.exists()


# --- drain ----------------------------------------------------------------------------------------


def test_drain__without_holders_ends_at_once(desk: Desk) -> None:
    body = expect("drainScheduler", desk.post("/scheduler/drain"))
    assert body["completed"]
    assert "timed_out" not in body
    assert body["remaining_claims"] == 0
    assert body["scheduler"]["paused"]
    assert body["scheduler"]["paused_reason"] == "scheduler drain"
    assert body["started_at"] <= body["completed_at"]
    assert audited() == [
        "scheduler.paused",
        "scheduler.drain_started",
        "scheduler.drain_completed",
    ]


def test_drain__of_a_paused_scheduler_keeps_its_reason(desk: Desk) -> None:
    desk.post("/scheduler/pause", reason="noon")
    body = desk.post("/scheduler/drain", reason="deployment").json()
    assert body["scheduler"]["paused_reason"] == "noon"
    assert audited().count("scheduler.paused") == 1


def test_drain__with_no_time_looks_once(house: House, desk: Desk) -> None:
    waiting(desk, house)
    desk.agent(house).claimed()
    body = expect("drainScheduler", desk.post("/scheduler/drain", timeout_seconds=0))
    assert (body["completed"], body["timed_out"], body["remaining_claims"]) == (False, True, 1)
    assert body["scheduler"]["active_claim_count"] == 1
    assert AuditEvent.objects.get(action="scheduler.drain_completed").data == {
        "remaining_claims": 1
    }


def test_drain__ends_with_its_time(house: House, desk: Desk) -> None:
    waiting(desk, house)
    desk.agent(house).claimed()
    body = expect("drainScheduler", desk.post("/scheduler/drain", timeout_seconds=1))
    assert body["timed_out"]
    assert body["scheduler"]["paused"]


def test_drain__ends_when_the_last_run_is_given_back(house: House, desk: Desk) -> None:
    waiting(desk, house)
    agent = desk.agent(house)
    run_id = agent.claimed()["run"]["id"]
    answers: list[Any] = []
    thread = _in_thread(
        lambda: answers.append(Desk(Caller(desk.caller.key)).post("/scheduler/drain"))
    )
    _wait_for(SchedulerState.objects.filter(paused_at__isnull=False).exists)
    assert agent.on(run_id, "release").status_code == 200
    thread.join(10)
    body = expect("drainScheduler", answers[0])
    assert body["completed"]
    assert body["scheduler"]["queued_run_count"] == 1
    assert agent.claim().status_code == 204


def test_drain__holds_no_connection_while_it_waits(
    house: House, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting(desk, house)
    desk.agent(house).claimed()
    slept = []

    def note(seconds: float) -> None:
        if seconds >= 0.1:
            slept.append(connection.connection)
        threading.Event().wait(seconds)

    monkeypatch.setattr(scheduling.time, "sleep", note)
    desk.post("/scheduler/drain", timeout_seconds=1)
    assert slept
    assert set(slept) == {None}


def test_drain__beyond_the_threads_that_may_wait_looks_once(house: House, desk: Desk) -> None:
    waiting(desk, house)
    desk.agent(house).claimed()
    places = scheduling.MAX_DRAINING_THREADS
    for _ in range(places):
        assert scheduling._draining_threads.acquire(blocking=False)
    try:
        assert desk.post("/scheduler/drain").json()["timed_out"]
    finally:
        scheduling._draining_threads.release(places)


@pytest.mark.parametrize("seconds", [-1, 1.5, "60", True])
def test_drain__refuses_a_time(desk: Desk, seconds: Any) -> None:
    refused(desk.post("/scheduler/drain", timeout_seconds=seconds), 422)
    assert not SchedulerState.objects.exists()


def _in_thread(call: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            call()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def _wait_for(is_true: Callable[[], bool]) -> None:
    for _ in range(500):
        if is_true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come true")


# --- backlog --------------------------------------------------------------------------------------


def ids(desk: Desk, **query: Any) -> list[str]:
    body = expect("getSchedulerBacklog", desk.get("/scheduler/backlog", **query))
    return [item["run"]["id"] for item in body["backlog"]["runs"]]


def test_backlog__is_in_the_order_of_claims(house: House, desk: Desk) -> None:
    low, first = waiting(desk, house, priority="low"), waiting(desk, house)
    second, urgent = waiting(desk, house), waiting(desk, house, priority="urgent")
    high = waiting(desk, house, priority="high")
    assert ids(desk) == [urgent, high, first, second, low]
    body = desk.get("/scheduler/backlog", limit=2).json()["backlog"]
    assert [item["run"]["id"] for item in body["runs"]] == [urgent, high]
    assert body["total"] == 5
    task = body["runs"][0]["task"]
    assert (task["priority"], task["status"], task["workspace_id"]) == (
        "urgent",
        "ready",
        str(house.pool.id),
    )
    agent = desk.agent(house)
    assert agent.claimed()["run"]["id"] == urgent
    assert ids(desk) == [high, first, second, low]


def test_backlog__of_nothing_is_an_empty_list(desk: Desk) -> None:
    body = expect("getSchedulerBacklog", desk.get("/scheduler/backlog"))
    assert body == {"backlog": {"runs": [], "total": 0}}


def test_backlog__leaves_out_what_is_paused(house: House, desk: Desk) -> None:
    above = desk.task(scope="workspace", workspace=house.pool.name)
    child = desk.post(
        f"/tasks/{above['id']}/children",
        scope="workspace",
        workspace=house.pool.name,
        title="Below",
    ).json()["task"]
    run_id = desk.started(child["id"])["id"]
    desk.post(f"/tasks/{above['id']}/pause", reason="later")
    assert ids(desk) == []
    assert ids(desk, include_paused="1") == [run_id]
    (item,) = desk.get("/scheduler/backlog", include_paused="true").json()["backlog"]["runs"]
    assert item["task"]["effective_paused"]
    assert item["task"]["paused_by_task_id"] == above["id"]


def test_backlog__filters_by_scope_and_workspace(house: House, desk: Desk) -> None:
    here = waiting(desk, house)
    everywhere = desk.started(desk.task()["id"])["id"]
    pool = new_pool(house)
    there = desk.started(desk.task(scope="workspace", workspace=str(pool.id))["id"])["id"]
    assert ids(desk, scope="global") == [everywhere]
    assert ids(desk, scope=" Workspace ") == [here, there]
    assert ids(desk, workspace=house.pool.name) == [here]
    assert ids(desk, scope="workspace", workspace=str(pool.id)) == [there]
    assert ids(desk, workspace="no such pool") == []


def test_backlog__is_of_one_organisation(house: House, desk: Desk, other_desk: Desk) -> None:
    waiting(desk, house)
    assert ids(other_desk) == []
    assert ids(other_desk, workspace=str(house.pool.id)) == []


@pytest.mark.parametrize(
    "query",
    [
        {"limit": -1},
        {"limit": "x"},
        {"scope": "local"},
        {"scope": "global", "workspace": "Ops"},
        {"workspace": "a\x00b"},
        {"include_paused": "maybe"},
    ],
    ids=str,
)
def test_backlog__refuses_a_query(desk: Desk, query: dict[str, Any]) -> None:
    refused(desk.get("/scheduler/backlog", **query), 422)


# --- who may --------------------------------------------------------------------------------------

CALLS: list[tuple[str, str, Scope]] = [
    ("get", "/scheduler", Scope.TASKS_READ),
    ("get", "/scheduler/backlog", Scope.TASKS_READ),
    ("post", "/scheduler/pause", Scope.TASKS_MANAGE),
    ("post", "/scheduler/resume", Scope.TASKS_MANAGE),
    ("post", "/scheduler/drain", Scope.TASKS_MANAGE),
]


@pytest.mark.parametrize(("method", "path", "scope"), CALLS)
def test_call__needs_its_scope(house: House, method: str, path: str, scope: Scope) -> None:
    others = [one for one in Scope if one not in (scope, Scope.WORK)]
    without = desk_of(house, scopes=others)
    refused(getattr(without, method)(path), 403)
    only = desk_of(house, scopes=[scope])
    assert getattr(only, method)(path).status_code == 200


@pytest.mark.parametrize(("method", "path", "_scope"), CALLS)
def test_call__needs_a_credential(house: House, method: str, path: str, _scope: Scope) -> None:
    refused(getattr(Desk(Caller("nonsense")), method)(path), 401)


@pytest.mark.parametrize("verb", ["pause", "resume", "drain"])
def test_switch__is_not_for_a_credential_of_some_pools(house: House, verb: str) -> None:
    limited = desk_of(house, pool_ids=[house.pool.id])
    refused(limited.post(f"/scheduler/{verb}"), 403)
    assert not SchedulerState.objects.exists()


def test_call__by_a_session_that_is_not_active_is_refused(house: House, desk: Desk) -> None:
    identity = {"X-AGH-Session-ID": "unknown", "X-AGH-Agent": "drafter"}
    answer = desk.caller.get("/api/scheduler", **identity)
    assert refused(answer, 401)["diagnostic"]["code"] == "identity_stale"


def test_call__of_an_editor_is_refused(house: House) -> None:
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Editor",
        role=Role.EDITOR,
        scopes=[Scope.TASKS_MANAGE],
    )
    refused(Desk(Caller(key)).post("/scheduler/pause"), 403)


# --- the document ---------------------------------------------------------------------------------

OURS = [
    name
    for name, one in OPERATIONS.items()
    if one["path"].startswith(("/api/scheduler", "/api/runs")) and name != "inspectRun"
]


@pytest.mark.parametrize("name", OURS)
def test_document__has_the_published_operation(name: str) -> None:
    published = OPERATIONS[name]
    described = openapi()["paths"][published["path"]][published["method"].lower()]
    assert described["operationId"] == name
    assert described["summary"] == published["summary"]
    statuses = [published["success_status"], *published["error_statuses"]]
    assert {str(status) for status in statuses} <= described["responses"].keys()
    asked = {one["name"] for one in published["query"]}
    given = {one["name"] for one in described.get("parameters", []) if one.get("in") == "query"}
    assert asked == given
