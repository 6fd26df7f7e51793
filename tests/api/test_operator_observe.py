"""The inbox with the triage of tasks, and the dashboard of `/api`."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.scopes import Role, Scope
from apps.agents.models import AgentSession
from apps.base import clock
from apps.operations.models import LogEntry, Process, RunDetails, TaskDetails, TriageState
from apps.pools.services import provision_pool
from apps.tasks.models import Run, Task
from tests.agent_steps import Agent, for_pool
from tests.api.agh_contract import answer_faults, error_faults
from tests.api.expect import expect_unchanged
from tests.concurrency.together import together
from tests.factories import NO_ID, Caller, House
from tests.listed_steps import WAYS, read_by
from tests.observe_steps import (
    LANES,
    Counted,
    Mixture,
    comparable,
    expected_dashboard,
    expected_inbox,
    shown_inbox,
)
from tests.operator_steps import Desk, desk_of

OPERATIONS = {"read": "markTaskRead", "dismiss": "dismissTask", "archive": "archiveTask"}


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
    assert answer_faults(operation_id, body) == []
    return body


def refused(response: Any, status: int) -> str:
    assert response.status_code == status, response.content
    body = response.json()
    assert error_faults(body) == []
    return str(body["error"])


def dashboard(desk: Desk, **query: Any) -> Any:
    return expect("getTaskDashboard", desk.get("/observe/tasks/dashboard", **query))["dashboard"]


def inbox(desk: Desk, agent: Agent | None = None, **query: Any) -> Any:
    headers = {}
    if agent is not None:
        headers = {"X-AGH-Session-ID": agent.session_id, "X-AGH-Agent": agent.name}
    answer = desk.caller.get(f"/api/observe/tasks/inbox?{urlencode(query)}", **headers)
    return expect("getTaskInbox", answer)["inbox"]


def triage(desk: Desk, task_id: str, verb: str) -> Any:
    path = f"/tasks/{task_id}/triage/{verb}"
    return expect(OPERATIONS[verb], desk.post(path))["triage"]


def lanes(found: Any) -> dict[str, list[str]]:
    """Return the tasks of each lane that has some."""
    return {
        group["lane"]: [item["task"]["id"] for item in group["items"]]
        for group in found["groups"]
        if group["count"]
    }


def flags(state: Any) -> tuple[bool, bool, bool]:
    return state["read"], state["dismissed"], state["archived"]


def failed(desk: Desk, agent: Agent, **fields: Any) -> str:
    """Return a task whose only run an agent failed."""
    task_id: str = desk.task(**fields)["id"]
    desk.started(task_id)
    claim = agent.claimed()
    assert agent.on(claim["run"]["id"], "fail", error="No key.").status_code == 200
    return task_id


def me(desk: Desk) -> dict[str, str]:
    return {"kind": "human", "ref": desk.caller.principal.text}


# --- counted by hand ------------------------------------------------------------------------------

SELECTIONS: list[tuple[dict[str, str], Callable[..., bool], Callable[..., bool]]] = [
    ({}, lambda _t, _d: True, lambda _x: True),
    ({"scope": "global"}, lambda t, _d: t.pool_id is None, lambda _x: True),
    (
        {"scope": " Workspace", "workspace": "Front desk"},
        lambda t, _d: t.pool_id is not None,
        lambda _x: True,
    ),
    (
        {"owner_kind": "agent_session", "owner_ref": "s-pool"},
        lambda _t, d: d is not None and (d.owner_kind, d.owner_ref) == ("agent_session", "s-pool"),
        lambda _x: True,
    ),
]
OF_RUNS: list[tuple[dict[str, str], Callable[..., bool], Callable[..., bool]]] = [
    (
        {"network_channel": "ops"},
        lambda _t, d: d is not None and d.network_channel == "ops",
        lambda x: x is not None and x.network_channel == "ops",
    ),
    ({"origin_kind": "http"}, lambda _t, _d: True, lambda _x: True),
    ({"origin_kind": "daemon"}, lambda _t, _d: False, lambda _x: False),
]


@pytest.mark.parametrize("seed", range(3))
def test_figures__are_those_that_are_counted_by_hand(house: House, desk: Desk, seed: int) -> None:
    mixture = Mixture(house, desk, seed)
    mixture.build()
    organisation_id = house.organisation.id
    # Without a query an index counts what is finished; with one each task is looked at.
    for query, is_selected, is_counted in [*SELECTIONS, *OF_RUNS]:
        counted = Counted(organisation_id, is_selected, is_counted)
        seen = dashboard(desk, **query)
        assert comparable(seen) == expected_dashboard(seen, counted), query
    ref = desk.caller.principal.text
    callers = [(None, ("human", ref))]
    callers += [
        (agent, ("agent_session", agent.session_id))
        for agent in mixture.agents
        if AgentSession.objects.get(session_id=agent.session_id).state == "active"
    ]
    for query, is_selected, _ in SELECTIONS:
        counted = Counted(organisation_id, is_selected)
        for agent, actor in callers:
            assert shown_inbox(inbox(desk, agent, **query)) == expected_inbox(counted, actor)
    everything = Counted(organisation_id)
    for lane in LANES:
        seen = inbox(desk, lane=lane, unread="T")
        expected = expected_inbox(everything, ("human", ref), lane=lane, unread=True)
        assert shown_inbox(seen) == expected
        assert seen["total"] == seen["unread_total"] == len(expected[lane])


def test_figures__are_those_of_the_callers_pools(house: House, desk: Desk) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    mine = desk.task(scope="workspace", workspace="Front desk", approval_policy="manual")["id"]
    desk.task(scope="workspace", workspace="Back office", approval_policy="manual")
    desk.task(approval_policy="manual")
    narrow = desk_of(house, pool_ids=[house.pool.id])
    assert dashboard(narrow)["totals"]["tasks_total"] == 1
    assert lanes(inbox(narrow)) == {"approvals": [mine]}
    query = {"scope": "workspace", "workspace": str(other.id)}
    refused(narrow.get("/observe/tasks/dashboard", **query), 404)
    refused(narrow.get("/observe/tasks/inbox", **query), 404)
    assert dashboard(desk, **query)["totals"]["blocked_tasks"] == 1


# --- triage ---------------------------------------------------------------------------------------


def test_triage__sets_what_each_call_says(desk: Desk) -> None:
    task = desk.task()
    before = LogEntry.objects.count()
    state = triage(desk, task["id"], "read")
    assert flags(state) == (True, False, False)
    assert state["task_id"] == task["id"]
    assert state["actor"] == me(desk)
    assert state["last_seen_activity_at"] == task["updated_at"]
    assert flags(triage(desk, task["id"], "dismiss")) == (True, True, False)
    assert flags(triage(desk, task["id"], "read")) == (True, False, False)
    assert flags(triage(desk, task["id"], "dismiss")) == (True, True, False)
    assert flags(triage(desk, task["id"], "archive")) == (True, False, True)
    # No call takes it back.
    assert flags(triage(desk, task["id"], "dismiss")) == (True, True, True)
    assert flags(triage(desk, task["id"], "read")) == (True, False, True)
    assert LogEntry.objects.count() == before


@pytest.mark.parametrize("verb", OPERATIONS)
def test_triage__is_idempotent(desk: Desk, verb: str) -> None:
    task_id = desk.task()["id"]
    first = triage(desk, task_id, verb)
    assert triage(desk, task_id, verb) == first
    desk.patch(f"/tasks/{task_id}", title="Another")
    later = triage(desk, task_id, verb)
    assert later["updated_at"] > first["updated_at"]
    assert later["last_seen_activity_at"] > first["last_seen_activity_at"]


def test_triage__is_each_callers_own(house: House, desk: Desk) -> None:
    task_id = desk.task(approval_policy="manual")["id"]
    agent = desk.agent()
    triage(desk, task_id, "archive")
    assert lanes(inbox(desk)) == {"archived": [task_id]}
    assert lanes(inbox(desk, agent)) == {"approvals": [task_id]}
    headers = {"X-AGH-Session-ID": agent.session_id, "X-AGH-Agent": agent.name}
    answer = desk.caller.post(f"/api/tasks/{task_id}/triage/dismiss", {}, **headers)
    state = expect("dismissTask", answer)["triage"]
    assert state["actor"] == {"kind": "agent_session", "ref": agent.session_id}
    assert lanes(inbox(desk, agent)) == {}
    assert lanes(inbox(desk_of(house))) == {"approvals": [task_id]}


def test_triage__of_another_apis_task(house: House, desk: Desk) -> None:
    needed = house.task()
    task = house.task(depends_on=[str(needed.id)])
    assert lanes(inbox(desk)) == {"blocked": [str(task.id)]}
    state = triage(desk, str(task.id).upper(), "archive")
    assert state["task_id"] == str(task.id)
    assert lanes(inbox(desk)) == {"archived": [str(task.id)]}


@pytest.mark.parametrize("verb", OPERATIONS)
def test_triage__refused(house: House, desk: Desk, verb: str) -> None:
    task_id, gone = desk.task()["id"], desk.task()["id"]
    assert desk.delete(f"/tasks/{gone}").status_code == 204
    stranger = Caller(house.charlie.key)
    blind = desk_of(house, scopes=[Scope.TASKS_CREATE])
    elsewhere = desk_of(house, pool_ids=[house.pool.id])
    unknown = {"X-AGH-Session-ID": "s-9", "X-AGH-Agent": "drafter"}
    with expect_unchanged():
        for unseen in (gone, "task-none", NO_ID):
            refused(desk.post(f"/tasks/{unseen}/triage/{verb}"), 404)
        refused(stranger.post(f"/api/tasks/{task_id}/triage/{verb}"), 404)
        refused(elsewhere.post(f"/tasks/{task_id}/triage/{verb}"), 404)
        refused(blind.post(f"/tasks/{task_id}/triage/{verb}"), 403)
        refused(desk.caller.post(f"/api/tasks/{task_id}/triage/{verb}", {}, **unknown), 401)
        refused(Caller("bl_none").post(f"/api/tasks/{task_id}/triage/{verb}"), 401)


def test_triage__of_many_calls_at_once(desk: Desk) -> None:
    task_id = desk.task()["id"]

    def call(verb: str) -> Any:
        path = f"/api/tasks/{task_id}/triage/{verb}"
        return Caller(desk.caller.key).post(path).status_code

    verbs = ["read", "archive", "dismiss", "read"] * 2
    assert together(*(lambda verb=verb: call(verb) for verb in verbs)) == [200] * 8
    assert TriageState.objects.get().is_archived


# --- the inbox ------------------------------------------------------------------------------------


def test_inbox__new_activity_makes_a_task_unread(desk: Desk) -> None:
    task_id = desk.task(approval_policy="manual")["id"]
    assert inbox(desk)["unread_total"] == 1
    triage(desk, task_id, "read")
    found = inbox(desk)
    assert (found["total"], found["unread_total"]) == (1, 0)
    desk.patch(f"/tasks/{task_id}", title="Another")
    found = inbox(desk)
    assert (found["total"], found["unread_total"]) == (1, 1)
    item = next(group["items"][0] for group in found["groups"] if group["count"])
    assert flags(item["triage"]) == (False, False, False)
    assert item["latest_activity_at"] > item["triage"]["last_seen_activity_at"]


def test_inbox__a_dismissed_task_is_hidden_until_new_activity(desk: Desk) -> None:
    task_id = desk.task(approval_policy="manual")["id"]
    triage(desk, task_id, "dismiss")
    assert inbox(desk)["total"] == 0
    desk.post(f"/tasks/{task_id}/reject")
    assert lanes(inbox(desk)) == {"blocked": [task_id]}


def test_inbox__an_archived_task_stays_archived_and_read(desk: Desk) -> None:
    task_id = desk.task(approval_policy="manual")["id"]
    triage(desk, task_id, "archive")
    desk.post(f"/tasks/{task_id}/reject")
    found = inbox(desk)
    assert lanes(found) == {"archived": [task_id]}
    assert (found["total"], found["unread_total"], found["archived_total"]) == (1, 0, 1)


def test_inbox__a_heartbeat_is_activity(desk: Desk) -> None:
    agent = desk.agent()
    task_id = desk.task(owner=me(desk) | {"kind": "human"})["id"]
    TaskDetails.objects.update(owner_kind="", owner_ref="")
    desk.started(task_id)
    run_id = agent.claimed()["run"]["id"]
    TaskDetails.objects.update(owner_kind="human", owner_ref=me(desk)["ref"])
    triage(desk, task_id, "dismiss")
    assert inbox(desk)["total"] == 0
    agent.on(run_id, "heartbeat")
    assert lanes(inbox(desk)) == {"my_work": [task_id]}


def test_inbox__has_the_first_lane_that_fits(desk: Desk) -> None:
    agent = desk.agent()
    approval = desk.task(approval_policy="manual", owner=me(desk))["id"]
    refused_one = desk.task(approval_policy="manual")["id"]
    desk.post(f"/tasks/{refused_one}/reject")
    waiting = desk.task()["id"]
    desk.post(f"/tasks/{waiting}/dependencies", depends_on_task_id=approval)
    fails = failed(desk, agent, max_attempts=1)
    again = failed(desk, agent)
    mine = desk.task(owner=me(desk))["id"]
    desk.task(owner=me(desk), draft=True)
    desk.task(approval_policy="manual", draft=True)
    desk.task()
    canceled = desk.task(owner=me(desk))["id"]
    desk.post(f"/tasks/{canceled}/cancel")
    found = inbox(desk)
    assert [group["lane"] for group in found["groups"]] == list(LANES)
    assert {name: set(ids) for name, ids in lanes(found).items()} == {
        "my_work": {mine},
        "approvals": {approval},
        "failed_runs": {fails, again},
        "blocked": {refused_one, waiting},
    }
    reasons = {
        item["task"]["id"]: item.get("blocking_reason")
        for group in found["groups"]
        for item in group.get("items", [])
    }
    assert reasons == {
        mine: None,
        approval: "awaiting_approval",
        fails: "latest_run_failed",
        again: "latest_run_failed",
        refused_one: "approval_rejected",
        waiting: "awaiting_dependencies",
    }
    # A newer run that has not failed takes it out of the lane.
    desk.started(again)
    assert lanes(inbox(desk, lane="failed_runs")) == {"failed_runs": [fails]}


def test_inbox__has_what_the_caller_claimed(house: House, desk: Desk) -> None:
    agent = desk.agent(house)
    task_id = desk.task(scope="workspace", workspace="Front desk")["id"]
    desk.started(task_id)
    assert lanes(inbox(desk, agent)) == {}
    agent.claimed()
    assert lanes(inbox(desk, agent)) == {"my_work": [task_id]}
    assert lanes(inbox(desk)) == {}
    agent.on(str(Run.objects.get().id), "release")
    assert lanes(inbox(desk, agent)) == {}
    # A task of another API that a session claimed.
    task = for_pool(house)
    desk.post(f"/tasks/{task_id}/cancel")
    agent.claimed()
    assert lanes(inbox(desk, agent)) == {"my_work": [str(task.id)]}
    assert lanes(inbox(desk)) == {}


def test_inbox__has_what_the_callers_worker_holds(house: House, desk: Desk) -> None:
    run = house.accepted()
    scopes = [Scope.WORK, Scope.TASKS_READ]
    bobs = desk_of(house, scopes=scopes, worker_id=house.bobs_worker.id, role=Role.VIEWER)
    assert lanes(inbox(bobs)) == {"my_work": [str(run.task_id)]}
    assert lanes(inbox(desk)) == {}


def test_inbox__shows_the_newest_run(desk: Desk) -> None:
    task_id = failed(desk, desk.agent())
    (item,) = inbox(desk, lane="failed_runs")["groups"][0]["items"]
    run = item["run"]
    assert run["id"] == str(Run.objects.get().id)
    assert (run["task_id"], run["status"], run["error"]) == (task_id, "failed", "No key.")
    assert (run["attempt"], run["max_attempts"], run["session_id"]) == (1, 3, "s-1")
    assert run["claimed_by"] == {"kind": "agent_session", "ref": "s-1"}
    assert item["approval_policy"], item["approval_state"] == ("none", "not_required")


def test_inbox__filters_and_counts_before_the_limit(desk: Desk) -> None:
    titles = ["Draft 100%", "draft x", "Paint"]
    ids = [desk.task(title=title, approval_policy="manual")["id"] for title in titles]
    named = desk.task(title="Mend", identifier="DRAFT-7", approval_policy="manual")["id"]
    triage(desk, ids[1], "read")
    found = inbox(desk, query="draft", limit=1)
    assert [group["count"] for group in found["groups"]] == [0, 3, 0, 0, 0]
    assert [group["unread_count"] for group in found["groups"]] == [0, 2, 0, 0, 0]
    assert (found["total"], found["unread_total"]) == (3, 2)
    assert lanes(found) == {"approvals": [named]}
    assert lanes(inbox(desk, query="draft", limit=0)) == {"approvals": [named, ids[0], ids[1]]}
    assert lanes(inbox(desk, query="100%")) == {"approvals": [ids[0]]}
    assert inbox(desk, query="_")["total"] == 0
    assert inbox(desk, unread="1")["total"] == 3
    assert inbox(desk, unread="f")["total"] == 4
    assert inbox(desk, lane="blocked") == {
        "groups": [{"lane": "blocked", "count": 0, "unread_count": 0}],
        "total": 0,
        "unread_total": 0,
        "archived_total": 0,
    }


def test_inbox__order_in_a_lane(desk: Desk) -> None:
    priorities = ["low", "urgent", "medium", "high"]
    made = {
        name: desk.task(id=f"t-{name}", priority=name, approval_policy="manual")["id"]
        for name in priorities
    }
    twin = desk.task(id="t-a", priority="high", approval_policy="manual")["id"]
    triage(desk, made["urgent"], "read")
    at = clock.now()
    # All alike but for their priority.
    Task.objects.update(created_at=at, changed_at=at)
    TaskDetails.objects.update(updated_at=at)
    TriageState.objects.update(last_seen_activity_at=at)
    order = [twin, made["high"], made["medium"], made["low"], made["urgent"]]
    assert lanes(inbox(desk)) == {"approvals": order}
    newer = at + timedelta(seconds=1)
    TaskDetails.objects.filter(wire_id=made["low"]).update(updated_at=newer)
    assert lanes(inbox(desk))["approvals"][0] == made["low"]


def test_inbox__shows_pauses_and_the_latest_event(desk: Desk) -> None:
    parent = desk.task()["id"]
    body = {"scope": "global", "title": "Below", "approval_policy": "manual"}
    child = desk.post(f"/tasks/{parent}/children", **body).json()["task"]["id"]
    desk.post(f"/tasks/{parent}/pause", reason="A holiday.")
    (item,) = inbox(desk, lane="approvals")["groups"][0]["items"]
    shown = item["task"]
    assert shown["id"] == child
    assert (shown["effective_paused"], shown["paused_by_task_id"]) == (True, parent)
    assert "paused" not in shown
    task_id = TaskDetails.objects.get(wire_id=child).task_id
    newest = LogEntry.objects.filter(task_id=task_id).order_by("-sequence")[0]
    assert shown["latest_event_seq"] == newest.sequence


def test_inbox__needs_five_statements_for_any_number_of_tasks(desk: Desk) -> None:
    agent = desk.agent()
    for _ in range(4):
        failed(desk, agent)
        with CaptureQueriesContext(connection) as found:
            inbox(desk)
        texts = [one["sql"] for one in found]
        ours = [text for text in texts if re.search(r"\b(tasks|operations|agents)_", text)]
        assert len(ours) == 6


# --- the dashboard --------------------------------------------------------------------------------


def test_dashboard__of_nothing(desk: Desk) -> None:
    found = dashboard(desk)
    assert set(found["totals"].values()) == {0}
    assert "status_breakdown" not in found
    assert found["queue"]["oldest_queued_at"] == "0001-01-01T00:00:00Z"
    assert found["health"]["status"] == "ok"
    assert found["cards"]["latency"]["claim_latency_ms"] == {
        "samples": 0,
        "average_ms": 0,
        "maximum_ms": 0,
        "p50_ms": 0,
        "p95_ms": 0,
        "p99_ms": 0,
    }
    fresh = found["freshness"]
    assert (fresh["status"], fresh["stale"], fresh["has_live_work"]) == ("empty", False, False)
    assert fresh["latest_activity_at"] == "0001-01-01T00:00:00Z"


def test_dashboard__shares_are_rounded_and_in_order(desk: Desk) -> None:
    for _ in range(5):
        desk.task()
    for _ in range(2):
        desk.task(approval_policy="manual")
    desk.task(draft=True)
    assert dashboard(desk)["status_breakdown"] == [
        {"status": "ready", "count": 5, "share_percent": 63},
        {"status": "blocked", "count": 2, "share_percent": 25},
        {"status": "draft", "count": 1, "share_percent": 13},
    ]


def test_dashboard__blocked_tasks_by_what_holds_them(desk: Desk) -> None:
    blocker = desk.task()["id"]
    waiting = desk.task(approval_policy="manual")["id"]
    desk.post(f"/tasks/{waiting}/dependencies", depends_on_task_id=blocker)
    refused_one = desk.task(approval_policy="manual")["id"]
    desk.post(f"/tasks/{refused_one}/reject")
    desk.task(approval_policy="manual", draft=True)
    card = dashboard(desk)["cards"]["blocked"]
    assert card == {
        "tasks": 2,
        "awaiting_approval": 1,
        "awaiting_dependencies": 1,
        "health_status": "warn",
    }


def test_dashboard__a_deleted_task_does_not_count(desk: Desk) -> None:
    agent, task_id = desk.agent(), desk.task()["id"]
    desk.started(task_id)
    agent.on(agent.claimed()["run"]["id"], "complete")
    other = desk.task()["id"]
    found = dashboard(desk)
    assert found["totals"]["completed_tasks"] == found["totals"]["completed_runs"] == 1
    assert found["cards"]["latency"]["claim_latency_ms"]["samples"] == 1
    for one in (task_id, other):
        assert desk.delete(f"/tasks/{one}").status_code == 204
    found = dashboard(desk)
    assert set(found["totals"].values()) == {0}
    assert found["cards"]["latency"]["claim_latency_ms"]["samples"] == 0
    assert found["freshness"]["status"] == "empty"


@pytest.mark.parametrize(
    ("status", "minutes", "is_stuck"),
    [
        ("claimed", 4.9, False),
        ("claimed", 5.1, True),
        ("starting", 5.1, True),
        ("running", 29, False),
        ("running", 31, True),
    ],
)
def test_dashboard__stuck_runs(desk: Desk, status: str, minutes: float, is_stuck: bool) -> None:
    desk.started(desk.task()["id"])
    desk.agent().claimed()
    since = clock.now() - timedelta(minutes=minutes)
    Run.objects.update(
        status=status, claimed_at=since, started_at=since if status == "running" else None
    )
    found = dashboard(desk)
    assert found["health"]["stuck_runs"] == int(is_stuck)
    (run,) = found["active_runs"]["items"]
    assert run["stuck"] is is_stuck
    health = "warn" if is_stuck else "ok"
    assert (run["health_status"], found["health"]["status"]) == (health, health)
    assert found["cards"]["in_progress"]["health_status"] == health
    assert abs(run["age_ms"] - minutes * 60_000) < 5_000
    in_progress = 1 if status == "starting" else 0
    assert found["totals"]["in_progress_tasks"] == in_progress


def test_dashboard__orphans_are_worked_on_without_a_session(house: House, desk: Desk) -> None:
    house.started()
    assert dashboard(desk)["health"]["active_orphan_runs"] == 0
    desk.started(desk.task()["id"])
    run_id = desk.agent().claimed()["run"]["id"]
    ended = {"state": "stopped", "ended_at": clock.now()}
    AgentSession.objects.update(**ended)
    assert dashboard(desk)["health"]["active_orphan_runs"] == 0
    Run.objects.filter(id=run_id).update(status="running", started_at=clock.now())
    found = dashboard(desk)
    assert (found["health"]["active_orphan_runs"], found["health"]["status"]) == (1, "warn")
    AgentSession.objects.update(state="active", ended_at=None)
    assert dashboard(desk)["health"]["active_orphan_runs"] == 0
    RunDetails.objects.filter(run_id=run_id).update(session_id="")
    assert dashboard(desk)["health"]["active_orphan_runs"] == 1


def test_dashboard__the_queue_by_channel(desk: Desk) -> None:
    for channel, minutes in (("ops", 3), ("ops", 9), ("", 1)):
        run = desk.started(desk.task()["id"], network_channel=channel)
        queued_at = clock.now() - timedelta(minutes=minutes)
        Run.objects.filter(id=run["id"]).update(queued_at=queued_at)
    queue = dashboard(desk)["queue"]
    channels = [(part.get("network_channel", ""), part["count"]) for part in queue["depth"]]
    assert channels == [("", 1), ("ops", 2)]
    assert (queue["total"], queue["backlog_warning"], queue["backlog_status"]) == (3, False, "ok")
    assert abs(queue["oldest_queue_age_ms"] - 540_000) < 5_000
    Run.objects.filter(id=run["id"]).update(queued_at=clock.now() - timedelta(minutes=10))
    found = dashboard(desk)
    assert (found["queue"]["backlog_warning"], found["health"]["queue_backlog"]) == (True, True)
    assert found["queue"]["backlog_status"] == found["health"]["status"] == "warn"
    # A run that needs attention counts among all runs only.
    Run.objects.filter(id=run["id"]).update(status="needs_attention")
    totals = dashboard(desk)["totals"]
    assert (totals["runs_total"], totals["queued_runs"], totals["active_runs"]) == (3, 2, 2)


def test_dashboard__an_active_run_names_its_task(house: House, desk: Desk) -> None:
    made = desk.task(
        scope="workspace",
        workspace="Front desk",
        identifier="IR-7",
        priority="high",
        owner={"kind": "pool", "ref": "drafter"},
    )
    desk.started(made["id"], network_channel="ops")
    run_id = desk.agent(house, channel="ops").claimed()["run"]["id"]
    (run,) = dashboard(desk)["active_runs"]["items"]
    known = {name: part for name, part in run.items() if name not in ("age_ms", "latest_event_seq")}
    claimed_at = Run.objects.get().claimed_at
    assert claimed_at is not None
    assert run["latest_event_seq"] == LogEntry.objects.order_by("-sequence")[0].sequence
    assert known == {
        "run_id": run_id,
        "run_status": "claimed",
        "attempt": 1,
        "max_attempts": 3,
        "last_activity_at": claimed_at.isoformat().replace("+00:00", "Z"),
        "stuck": False,
        "health_status": "ok",
        "task_id": made["id"],
        "task_title": made["title"],
        "task_status": "ready",
        "scope": "workspace",
        "network_channel": "ops",
        "session_id": "s-1",
        "task_identifier": "IR-7",
        "task_owner": {"kind": "pool", "ref": "drafter"},
        "task_priority": "high",
        "workspace_id": str(house.pool.id),
    }


def test_dashboard__forced_stops_since_the_service_started(house: House, desk: Desk) -> None:
    task = Task.objects.get(id=TaskDetails.objects.get(wire_id=desk.task()["id"]).task_id)
    entry = {"organisation_id": task.organisation_id, "task_id": task.id, "actor_kind": "daemon"}
    entry |= {"type": "task.run_force_stopped", "occurred_at": clock.now()}
    LogEntry.objects.create(**entry)
    card = dashboard(desk)["cards"]["failed"]
    assert (card["tasks"], card["failed_runs"], card["forced_stops"]) == (0, 0, 1)
    assert card["health_status"] == "warn"
    later = clock.now() + timedelta(seconds=1)
    Process.objects.create(name="web", host="a", pid=1, started_at=later, seen_at=later)
    assert dashboard(desk)["cards"]["failed"]["forced_stops"] == 0


def test_dashboard__silence_while_runs_are_active_is_stale(desk: Desk) -> None:
    desk.started(desk.task()["id"])
    fresh = dashboard(desk)["freshness"]
    assert (fresh["status"], fresh["has_live_work"]) == ("current", True)
    before = clock.now() - timedelta(minutes=3)
    Task.objects.update(created_at=before, changed_at=before)
    TaskDetails.objects.update(updated_at=before)
    Run.objects.update(queued_at=before)
    assert dashboard(desk)["freshness"]["status"] == "current"
    LogEntry.objects.update(occurred_at=before)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE events_event DISABLE TRIGGER USER")
        cursor.execute("UPDATE events_event SET occurred_at = %s", [before])
        cursor.execute("ALTER TABLE events_event ENABLE TRIGGER USER")
    fresh = dashboard(desk)["freshness"]
    assert (fresh["status"], fresh["stale"], fresh["stale_after_ms"]) == ("stale", True, 120_000)
    Run.objects.update(status="needs_attention")
    assert dashboard(desk)["freshness"]["status"] == "current"


def test_dashboard__is_one_statement(desk: Desk) -> None:
    desk.started(desk.task()["id"])
    with CaptureQueriesContext(connection) as found:
        dashboard(desk)
    assert len([one for one in found if "operations_taskdetails" in one["sql"]]) == 1


# --- refusals -------------------------------------------------------------------------------------

INVALID = [
    {"scope": "planet"},
    {"scope": "workspace"},
    {"scope": "global", "workspace": "Front desk"},
    {"workspace": "Front desk"},
    {"owner_kind": "daemon"},
    {"owner_ref": "\x00"},
]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        *(("inbox", query) for query in INVALID),
        *(("dashboard", query) for query in INVALID),
        ("inbox", {"lane": "none"}),
        ("inbox", {"unread": "perhaps"}),
        ("inbox", {"limit": "-1"}),
        ("inbox", {"limit": "few"}),
        ("dashboard", {"origin_kind": "mail"}),
    ],
)
def test_observe__an_invalid_query(desk: Desk, path: str, query: dict[str, str]) -> None:
    error = refused(desk.get(f"/observe/tasks/{path}", **query), 422)
    assert any(name in error for name in [*query, "workspace"])


@pytest.mark.parametrize("path", ["inbox", "dashboard"])
def test_observe__who_may(house: House, desk: Desk, path: str) -> None:
    desk.task(approval_policy="manual")
    query = {"scope": "workspace", "workspace": str(house.strangers_pool.id)}
    refused(desk.get(f"/observe/tasks/{path}", **query), 404)
    refused(desk.get(f"/observe/tasks/{path}", scope="workspace", workspace="Nowhere"), 404)
    refused(desk_of(house, scopes=[Scope.TASKS_CREATE]).get(f"/observe/tasks/{path}"), 403)
    refused(house.bob.get(f"/api/observe/tasks/{path}"), 403)
    refused(Caller("bl_none").get(f"/api/observe/tasks/{path}"), 401)
    viewer = desk_of(house, role=Role.VIEWER, scopes=[Scope.TASKS_READ])
    stranger = Desk(Caller(house.charlie.key))
    if path == "inbox":
        assert (inbox(viewer)["total"], inbox(stranger)["total"]) == (1, 0)
    else:
        seen = [dashboard(one)["totals"]["tasks_total"] for one in (viewer, stranger)]
        assert seen == [1, 0]
