"""Sessions of agents: who registers them, who may act for them, and how they end."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections, transaction

from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.agents.models import Agent as AgentRow
from apps.agents.models import AgentClaim, AgentSession
from apps.agents.services import sessions, stop_silent_sessions
from apps.agents.services.sessions import SILENT_FOR
from apps.base import clock
from apps.base.drains import Postponed, drain
from apps.pools.models import Membership, Pool, Worker
from apps.pools.services import provision_pool
from apps.tasks.models import Run, Task
from tests.agent_steps import (
    AGENT_TASKS,
    SESSIONS,
    Agent,
    agent_of,
    agent_worker,
    for_pool,
    operator,
    registered,
)
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.factories import NO_ID, Caller, House

NEXT = f"{AGENT_TASKS}/claim-next"


def code(answer: Any, status: int) -> str | None:
    assert answer.status_code == status, answer.content
    found: str | None = answer.json().get("diagnostic", {}).get("code")
    return found


# --- registration ---------------------------------------------------------------------------------


def test_register__makes_the_agent_a_worker_of_the_workspace(house: House) -> None:
    answer = operator(house).post(
        SESSIONS,
        {
            "session_id": "s-1",
            "agent_name": "drafter",
            "pool_id": str(house.pool.id),
            "capabilities": ["search", " search", "", "french"],
        },
    )
    assert answer.status_code == 201
    session = answer.json()
    worker = Worker.objects.get(kind="agent")
    assert (
        session.items()
        >= {
            "session_id": "s-1",
            "agent_name": "drafter",
            "pool_id": str(house.pool.id),
            "capabilities": ["search", "french"],
            "state": "active",
            "worker_id": str(worker.id),
        }.items()
    )
    assert Membership.objects.filter(pool=house.pool, worker=worker).count() == 1
    # It gets no offers: it claims.
    assert (worker.name, worker.presence) == ("drafter", "offline")


def test_register__an_id_that_a_path_cannot_have(house: House) -> None:
    for id_ in ("a/b", "a/stop", "a b"):
        body = {"session_id": id_, "agent_name": "drafter"}
        assert operator(house).post(SESSIONS, body).status_code == 422
    assert operator(house).get(f"{SESSIONS}/a%00b").status_code == 404


def test_register__a_name_of_a_workers_key_is_not_given_away(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Other")
    worker, key = agent_worker(other)
    registered(key, "own", workspace_id=str(other.id))
    body = {"session_id": "s-1", "agent_name": "drafter", "pool_id": str(house.pool.id)}
    caller = operator(house)
    with expect_unchanged():
        assert caller.post(SESSIONS, body).status_code == 409
    assert not Membership.objects.filter(pool=house.pool, worker=worker).exists()


def test_register__a_key_for_pools_gets_no_agent_of_others(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Other")
    registered(operator(house), "first", workspace_id=str(other.id))
    granted = operator(house, pool_ids=[house.pool.id])
    body = {"session_id": "s-1", "agent_name": "drafter", "pool_id": str(house.pool.id)}
    with expect_unchanged():
        assert granted.post(SESSIONS, body).status_code == 409
    assert registered(granted, "s-1", name="checker", workspace_id=str(house.pool.id))


def test_delete_worker__of_an_agent_that_released_all(house: House) -> None:
    for_pool(house)
    agent = agent_of(house)
    agent.on(agent.claimed()["run"]["id"], "release")
    worker = Worker.objects.get(kind="agent")
    answer = house.alice.delete(f"/v1/workers/{worker.id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "worker_has_history")


def test_register__again_is_the_same_session(house: House) -> None:
    caller = operator(house)
    body = {"session_id": "s-1", "agent_name": "drafter", "pool_id": str(house.pool.id)}
    made = caller.post(SESSIONS, body)
    assert (made.status_code, made["Location"]) == (201, f"{SESSIONS}/s-1")
    first = made.json()
    with expect_unchanged():
        again = caller.post(SESSIONS, body)
        assert (again.status_code, again.json()) == (200, first)
        taken = caller.post(SESSIONS, {**body, "agent_name": "other"})
        expect_problem(taken, 409, "session_id_taken")
    caller.delete(f"{SESSIONS}/s-1")
    expect_problem(caller.post(SESSIONS, body), 409, "session_id_taken")


def test_register__sessions_of_an_agent_share_its_worker_and_raise_its_capacity(
    house: House,
) -> None:
    caller = operator(house)
    for number in range(3):
        registered(caller, f"s-{number}", workspace_id=str(house.pool.id))
    worker = Worker.objects.get(kind="agent")
    assert worker.capacity == 3
    assert set(AgentSession.objects.values_list("worker_id", flat=True)) == {worker.id}
    registered(caller, "s-9", name="checker")
    assert AgentRow.objects.count() == 2


def test_register__by_a_workers_key(house: House) -> None:
    worker, caller = agent_worker(house.pool)
    registered(caller, "s-1", workspace_id=str(house.pool.id))
    assert AgentSession.objects.get().worker_id == worker.id
    # The name is that worker's now.
    _, other = agent_worker(house.pool)
    refused = {"session_id": "s-2", "agent_name": "drafter", "pool_id": str(house.pool.id)}
    with expect_unchanged():
        expect_problem(other.post(SESSIONS, refused), 409, "agent_name_taken")


def test_register__refused_for_a_workspace_that_the_worker_is_not_in(house: House) -> None:
    _, caller = agent_worker(house.pool)
    elsewhere = provision_pool(organisation_id=house.organisation.id, name="Back office")
    for pool in elsewhere.id, house.strangers_pool.id, NO_ID:
        body = {"session_id": "s-1", "agent_name": "drafter", "pool_id": str(pool)}
        with expect_unchanged():
            assert faults(caller.post(SESSIONS, body)) == {"/pool_id": "unknown_pool"}


def test_register__refused_to_people_and_without_the_scope(house: House) -> None:
    body = {"session_id": "s-1", "agent_name": "drafter", "pool_id": str(house.pool.id)}
    reader = operator(house, scopes=[Scope.POOLS_READ], role=Role.ADMIN)
    viewer = operator(house, role=Role.VIEWER)
    with expect_unchanged():
        expect_problem(house.bob.post(SESSIONS, body), 403, "identity_unauthorized")
        expect_problem(reader.post(SESSIONS, body), 403, "scope_missing")
        expect_problem(viewer.post(SESSIONS, body), 403, "role_too_low")
        expect_problem(Caller("bl_live_wrong").post(SESSIONS, body), 401)


def test_register__refused_outside_of_the_granted_pools(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    restricted = operator(house, pool_ids=[house.pool.id])
    registered(restricted, "s-1", workspace_id=str(house.pool.id))
    with expect_unchanged():
        for workspace in ({"pool_id": str(other.id)}, {}):
            body = {"session_id": "s-2", "agent_name": "drafter", **workspace}
            expect_problem(restricted.post(SESSIONS, body), 403, "pool_not_granted")


def test_register__refused_for_a_closed_or_foreign_pool(house: House) -> None:
    caller = operator(house)
    foreign = {"session_id": "s-1", "agent_name": "x", "pool_id": str(house.strangers_pool.id)}
    Pool.objects.filter(id=house.pool.id).update(status="closed")
    closed = {**foreign, "pool_id": str(house.pool.id)}
    with expect_unchanged():
        assert faults(caller.post(SESSIONS, foreign)) == {"/pool_id": "unknown_pool"}
        expect_problem(caller.post(SESSIONS, closed), 409, "pool_closed")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"session_id": "", "agent_name": "x"},
        {"session_id": "a b", "agent_name": "x"},
        {"session_id": "s" * 201, "agent_name": "x"},
        {"session_id": "s-1", "agent_name": " "},
        {"session_id": "s-1", "agent_name": " x"},
        {"session_id": "s-1", "agent_name": "x", "colour": "blue"},
        {"session_id": "s-1", "agent_name": "x", "channel": ""},
        {"session_id": "s-1", "agent_name": "x" * 129},
        {"session_id": "s-1", "agent_name": "x", "pool_id": "w-1"},
        {"session_id": "s-1", "agent_name": "x", "channel": "Loud Room"},
        {"session_id": "s-1", "agent_name": "x", "capabilities": ["c" * 129]},
        {"session_id": "s-1", "agent_name": "x", "capabilities": "search"},
        [],
    ],
)
def test_register__refused_where_invalid(house: House, body: Any) -> None:
    caller = operator(house)
    with expect_unchanged():
        expect_problem(caller.post(SESSIONS, body), 422, "invalid_input")


# --- who calls ------------------------------------------------------------------------------------


def test_identity__is_checked_in_order(house: House) -> None:
    agent = agent_of(house)
    stranger_key = issue_key(organisation_id=house.organisation.id, name="Else", role=Role.EDITOR)
    other = Caller(stranger_key)

    def call(caller: Caller = agent.caller, status: int = 401, **headers: str) -> str | None:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return code(caller.post(NEXT, {}, **sent), status)

    with expect_unchanged():
        assert call() == "identity_required"
        assert call(X_AGH_Session_ID="s-1") == "identity_required"
        assert call(X_AGH_Agent="drafter") == "identity_required"
        assert call(X_AGH_Session_ID="s-7", X_AGH_Agent="drafter") == "identity_stale"
        assert call(X_AGH_Session_ID="s-1", X_AGH_Agent="checker") == "identity_mismatch"
        known = {"X_AGH_Session_ID": "s-1", "X_AGH_Agent": "drafter"}
        assert call(other, 403, **known) == "identity_unauthorized"
        assert call(status=403, X_AGH_Workspace_ID=NO_ID, **known) == "identity_unauthorized"
        # Another organisation does not know the session.
        assert call(house.charlie, **known) == "identity_stale"
    sent = {"X-AGH-Session-ID": "s-1", "X-AGH-Agent": "drafter"}
    workspace = {"X-AGH-Workspace-ID": str(house.pool.id)}
    assert agent.caller.post(NEXT, {}, **sent, **workspace).status_code == 204


def test_identity__of_an_ended_session_is_stale(house: House) -> None:
    agent = agent_of(house)
    agent.caller.delete(f"{SESSIONS}/s-1")
    assert code(agent.claim(), 401) == "identity_stale"


def test_identity__a_manager_may_act_for_sessions_of_others(house: House) -> None:
    agent = agent_of(house)
    manager = operator(house, role=Role.MANAGER)
    assert Agent(manager, "s-1").claim().status_code == 204
    assert code(Agent(operator(house), "s-1").claim(), 403) == "identity_unauthorized"
    assert agent.claim().status_code == 204


def test_identity__of_a_workers_session_is_for_its_keys(house: House) -> None:
    worker, caller = agent_worker(house.pool)
    registered(caller, "s-1", workspace_id=str(house.pool.id))
    second = issue_key(
        organisation_id=house.organisation.id,
        name="Second",
        scopes=[Scope.WORK],
        worker_id=worker.id,
    )
    assert Agent(Caller(second), "s-1").claim().status_code == 204
    _, other = agent_worker(house.pool)
    assert code(Agent(other, "s-1").claim(), 403) == "identity_unauthorized"


# --- lists and ends -------------------------------------------------------------------------------


def test_read__a_session_and_what_it_holds(house: House) -> None:
    for_pool(house)
    agent = agent_of(house)
    run_id = agent.claimed()["run"]["id"]
    shown = agent.caller.get(f"{SESSIONS}/s-1").json()
    assert (shown["session_id"], shown["run_id"]) == ("s-1", run_id)
    for query in "state=active&limit=5", "agent_name=drafter", f"pool={house.pool.id}":
        assert agent.caller.get(f"{SESSIONS}?{query}").json()["data"] == [shown]
    nothing = {"data": [], "next_cursor": None}
    for query in "state=stopped", "agent_name=other", f"pool={NO_ID}":
        assert agent.caller.get(f"{SESSIONS}?{query}").json() == nothing
    for query in "state=gone", "limit=-1", "limit=x", "pool=x", "colour=blue":
        expect_problem(agent.caller.get(f"{SESSIONS}?{query}"), 422, "invalid_input")


def test_list__has_pages_newest_first(house: House) -> None:
    caller = operator(house)
    for number in range(3):
        registered(caller, f"s-{number}", workspace_id=str(house.pool.id))
    first = caller.get(f"{SESSIONS}?limit=2").json()
    second = caller.get(f"{SESSIONS}?limit=2&cursor={first['next_cursor']}").json()
    names = [row["session_id"] for page in (first, second) for row in page["data"]]
    assert (names, second["next_cursor"]) == (["s-2", "s-1", "s-0"], None)


def test_read__of_another_organisation_or_worker_is_404(house: House) -> None:
    agent_of(house)
    stranger = Caller(
        issue_key(
            organisation_id=house.strangers_pool.organisation_id,
            name="Charlie",
            scopes=[Scope.POOLS_READ, Scope.POOLS_MANAGE],
        )
    )
    _, worker = agent_worker(house.pool)
    for caller in stranger, worker:
        assert caller.get(SESSIONS).json()["data"] == []
        with expect_unchanged():
            expect_problem(caller.get(f"{SESSIONS}/s-1"), 404, "not_found")
            expect_problem(caller.delete(f"{SESSIONS}/s-1"), 404, "not_found")
            expect_problem(caller.post(f"{SESSIONS}/s-1/heartbeat"), 404, "not_found")


def test_calls__of_an_editor_that_did_not_register_it_are_refused(house: House) -> None:
    agent_of(house)
    other = operator(house)
    with expect_unchanged():
        expect_problem(other.delete(f"{SESSIONS}/s-1"), 403, "identity_unauthorized")
        expect_problem(other.post(f"{SESSIONS}/s-1/heartbeat"), 403, "identity_unauthorized")
    assert operator(house, role=Role.MANAGER).delete(f"{SESSIONS}/s-1").status_code == 204


def test_register__by_a_persons_key_that_manages_pools(house: House) -> None:
    """It registers sessions of any agent, and not of the person."""
    scopes = [Scope.WORK, Scope.POOLS_MANAGE]
    key = operator(house, scopes=scopes, worker_id=house.bobs_worker.id)
    registered(key, workspace_id=str(house.pool.id))
    assert AgentSession.objects.get().worker_id != house.bobs_worker.id


def test_heartbeat__says_that_a_session_is_alive(house: House) -> None:
    for_pool(house)
    agent = agent_of(house)
    run_id = agent.claimed()["run"]["id"]
    lease = Run.objects.get(id=run_id).lease_until
    long_ago = clock.now() - SILENT_FOR
    AgentSession.objects.update(last_seen_at=long_ago)
    shown = agent.caller.post(f"{SESSIONS}/s-1/heartbeat")
    assert (shown.status_code, shown.json()["run_id"]) == (200, run_id)
    assert AgentSession.objects.get().last_seen_at > long_ago
    assert stop_silent_sessions() == 0
    # The lease has heartbeats of its own.
    assert Run.objects.get(id=run_id).lease_until == lease


def test_heartbeat__of_a_session_that_ended_is_refused(house: House) -> None:
    agent = agent_of(house)
    agent.caller.delete(f"{SESSIONS}/s-1")
    with expect_unchanged():
        expect_problem(agent.caller.post(f"{SESSIONS}/s-1/heartbeat"), 409, "session_ended")


def test_register__with_a_key_has_one_effect(house: House) -> None:
    caller = operator(house)
    body = {"session_id": "s-1", "agent_name": "drafter"}
    key = {"Idempotency-Key": "register-1"}
    first = caller.post(SESSIONS, body, **key)
    caller.delete(f"{SESSIONS}/s-1")
    with expect_unchanged():
        again = caller.post(SESSIONS, body, **key)
        assert (again.status_code, again.json()) == (201, first.json())
        assert again["Idempotency-Replayed"] == "true"
        other = caller.post(SESSIONS, {**body, "agent_name": "x"}, **key)
        expect_problem(other, 422, "idempotency_key_reused")


def test_silent__sessions_are_stopped_after_a_week(house: House) -> None:
    for_pool(house)
    silent, other = agent_of(house), agent_of(house, "s-2")
    run_id = UUID(silent.claimed()["run"]["id"])
    now = clock.now()
    AgentSession.objects.filter(session_id="s-1").update(last_seen_at=now - SILENT_FOR)
    assert stop_silent_sessions(at=now) == 1
    assert stop_silent_sessions(at=now) == 0
    states = AgentSession.objects.order_by("session_id").values_list("state", flat=True)
    assert list(states) == ["stopped", "active"]
    assert Run.objects.get(id=run_id).status == "queued"
    assert code(silent.claim(), 401) == "identity_stale"
    assert other.claimed()["run"]["id"] == str(run_id)


def test_silent__sessions_are_stopped_beside_one_whose_run_is_locked(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_postponed", Postponed())
    for_pool(house)
    held, other = agent_of(house), agent_of(house, "s-2")
    run_id = UUID(held.claimed()["run"]["id"])
    now = clock.now()
    AgentSession.objects.filter(session_id="s-1").update(last_seen_at=now - 2 * SILENT_FOR)
    AgentSession.objects.filter(session_id="s-2").update(last_seen_at=now - SILENT_FOR)
    locked, may_end = threading.Event(), threading.Event()

    def holds() -> None:
        try:
            with transaction.atomic():
                Task.objects.select_for_update().get(runs__id=run_id)
                locked.set()
                assert may_end.wait(60)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        holding = thread.submit(holds)
        try:
            assert locked.wait(20)
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '100ms'")
            assert drain(lambda: stop_silent_sessions(at=now)) == 1
        finally:
            may_end.set()
            connection.close()
        holding.result(20)
    states = AgentSession.objects.order_by("session_id").values_list("state", flat=True)
    assert list(states) == ["active", "stopped"]
    assert code(other.claim(), 401) == "identity_stale"
    monkeypatch.setattr(sessions, "_postponed", Postponed())
    assert stop_silent_sessions(at=now) == 1


def capacity() -> int:
    return Worker.objects.get(kind="agent").capacity


def test_stop__lowers_the_capacity_that_the_session_raised(house: House) -> None:
    caller = operator(house)
    for number in range(3):
        registered(caller, f"s-{number}", workspace_id=str(house.pool.id))
    seen = []
    for number in range(3):
        caller.delete(f"{SESSIONS}/s-{number}")
        caller.delete(f"{SESSIONS}/s-{number}")
        seen.append(capacity())
    assert seen == [2, 1, 1]
    registered(caller, "s-8", workspace_id=str(house.pool.id))
    registered(caller, "s-9", workspace_id=str(house.pool.id))
    assert capacity() == 2
    now = clock.now()
    AgentSession.objects.filter(session_id="s-8").update(last_seen_at=now - SILENT_FOR)
    assert stop_silent_sessions(at=now) == 1
    assert capacity() == 1


def test_stop__keeps_a_capacity_that_an_operator_set(house: House) -> None:
    caller = operator(house)
    for number in range(2):
        registered(caller, f"s-{number}", workspace_id=str(house.pool.id))
    worker = Worker.objects.get(kind="agent")
    assert caller.patch(f"/v1/workers/{worker.id}", {"capacity": 5}).status_code == 200
    for number in range(2):
        caller.delete(f"{SESSIONS}/s-{number}")
    assert capacity() == 5


def test_stop__keeps_the_capacity_of_a_worker_with_its_own_key(house: House) -> None:
    _, caller = agent_worker(house.pool, capacity=2)
    for number in range(2):
        registered(caller, f"s-{number}", workspace_id=str(house.pool.id))
    caller.delete(f"{SESSIONS}/s-0")
    assert capacity() == 2


def test_stop__lowers_the_capacity_to_no_less_than_the_load(house: House) -> None:
    for _ in range(2):
        for_pool(house)
    agents = [agent_of(house, f"s-{number}") for number in range(3)]
    for agent in agents[:2]:
        agent.claimed()
    # One of them by a key of the worker, beside its sessions.
    Worker.objects.filter(kind="agent").update(load=3)
    agents[2].caller.delete(f"{SESSIONS}/s-2")
    assert capacity() == 3


def test_stop__releases_what_the_session_holds(house: House) -> None:
    for_pool(house)
    agent = agent_of(house)
    run_id = agent.claimed()["run"]["id"]
    assert agent.caller.delete(f"{SESSIONS}/s-1").status_code == 204
    stopped = agent.caller.get(f"{SESSIONS}/s-1").json()
    assert (stopped["state"], stopped["run_id"]) == ("stopped", None)
    assert stopped["ended_at"] is not None
    assert Run.objects.get(id=run_id).status == "queued"
    assert Task.objects.get().status == "queued"
    assert AgentClaim.objects.get().end == "released"
    assert Worker.objects.get(kind="agent").load == 0
    with expect_unchanged():
        assert agent.caller.delete(f"{SESSIONS}/s-1").status_code == 204
    assert agent_of(house, "s-2").claimed()["run"]["id"] == run_id
