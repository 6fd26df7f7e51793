"""Operators work on runs: claim, start, attach a session, complete, fail and cancel them."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.scopes import Role, Scope
from apps.agents.models import OPERATORS, AgentClaim, AgentSession
from apps.agents.models import Agent as AgentRow
from apps.agents.services import stop_silent_sessions
from apps.base import clock
from apps.operations.models import LogEntry, RunDetails
from apps.operations.services import step_starved
from apps.pools.models import Pool, Worker
from apps.reviews.models import Review
from apps.reviews.services import verify_submitted
from apps.tasks.models import Run, Task
from apps.timers.services import fire_due
from tests.agent_steps import SESSIONS, Agent, registered
from tests.api.expect import expect_unchanged
from tests.api.operator_expect import expect, logged, refused, strangers_desk
from tests.api.steps import act
from tests.factories import OUTPUT, Caller, House
from tests.operator_steps import Desk, desk_of
from tests.probes import assert_loads_are_true
from tests.review_steps import decide, reviewer, set_policy

VERBS = ("claim", "start", "attach-session", "complete", "fail", "cancel")
BODIES = {"attach-session": {"session_id": "s-1"}, "fail": {"error": "No line"}}
OPERATIONS = {
    "claim": "claimTaskRun",
    "start": "startTaskRun",
    "attach-session": "attachTaskRunSession",
    "complete": "completeTaskRun",
    "fail": "failTaskRun",
    "cancel": "cancelTaskRun",
}


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


def call(desk: Desk, run_id: str, verb: str, **body: Any) -> Any:
    return desk.post(f"/task-runs/{run_id}/{verb}", **{**BODIES.get(verb, {}), **body})


def done(desk: Desk, run_id: str, verb: str, **body: Any) -> dict[str, Any]:
    """Return the run of a call that succeeds."""
    run: dict[str, Any] = expect(OPERATIONS[verb], call(desk, run_id, verb, **body))["run"]
    return run


def queued(desk: Desk, **fields: Any) -> tuple[str, str]:
    """Return a task and its queued run."""
    task_id = desk.task(**fields)["id"]
    return task_id, desk.started(task_id)["id"]


def of_pool(house: House) -> dict[str, str]:
    return {"scope": "workspace", "workspace": str(house.pool.id)}


def status_of(desk: Desk, task_id: str) -> str:
    """Return a task's status, which a change of nothing shows."""
    answer = desk.patch(f"/tasks/{task_id}", title="Draft the reply")
    status: str = answer.json()["task"]["status"]
    return status


def claimed(desk: Desk, **fields: Any) -> tuple[str, str]:
    task_id, run_id = queued(desk, **fields)
    done(desk, run_id, "claim")
    return task_id, run_id


def running(desk: Desk, **fields: Any) -> tuple[str, str]:
    task_id, run_id = claimed(desk, **fields)
    done(desk, run_id, "start")
    return task_id, run_id


def starting(desk: Desk, agent: Agent, **fields: Any) -> tuple[str, str]:
    task_id, run_id = claimed(desk, **fields)
    done(desk, run_id, "attach-session", session_id=agent.session_id)
    return task_id, run_id


def as_agent(desk: Desk, run_id: str, verb: str, agent: Agent, **body: Any) -> Any:
    identity = {"X-AGH-Session-ID": agent.session_id, "X-AGH-Agent": agent.name}
    return desk.caller.post(f"/api/task-runs/{run_id}/{verb}", body, **identity)


# --- claim ----------------------------------------------------------------------------------------


def test_claim__has_no_lease_and_no_session(house: House, desk: Desk) -> None:
    task_id, run_id = queued(desk, **of_pool(house))
    run = done(desk, run_id, "claim")
    assert run["status"] == "claimed"
    assert run["claimed_by"] == {"kind": "human", "ref": desk.caller.principal.text}
    assert run.keys() & {"session_id", "lease_until", "claim_token_hash"} == set()
    assert status_of(desk, task_id) == "ready"
    (entry,) = logged(task_id, "task.run_claimed")
    assert entry.payload == {
        "task_status": "ready",
        "status": "claimed",
        "claimed_by": run["claimed_by"],
    }
    assert (entry.origin_kind, entry.origin_ref) == ("http", "tasks.claim_run")
    assert str(entry.run_id) == run_id


def test_claim__never_lapses(house: House, desk: Desk) -> None:
    _, run_id = claimed(desk)
    fire_due(at=clock.now() + timedelta(days=30))
    assert Run.objects.get(id=run_id).status == "claimed"


def test_claim__is_held_by_one_worker_who_is_offered_nothing(house: House, desk: Desk) -> None:
    claimed(desk), claimed(desk)
    worker = Worker.objects.get(id=AgentRow.objects.get(name=OPERATORS).worker_id)
    assert (worker.kind, worker.presence, worker.capacity) == ("agent", "offline", 0)
    assert worker.memberships.count() == 0
    assert Run.objects.filter(worker=worker, status="claimed").count() == 2
    assert_loads_are_true()
    Worker.objects.filter(id=worker.id).update(presence="available")
    worker.memberships.create(organisation_id=worker.organisation_id, pool=house.pool)
    assert worker.memberships.get().free == 0


def test_claim__takes_the_run_from_claim_next(desk: Desk) -> None:
    claimed(desk)
    assert desk.agent().claim().status_code == 204


def test_claim__is_not_stopped_by_a_pause(desk: Desk) -> None:
    task_id, run_id = queued(desk)
    desk.post(f"/tasks/{task_id}/pause", reason="Wait")
    assert done(desk, run_id, "claim")["status"] == "claimed"


def test_claim__of_a_blocked_task_is_refused(desk: Desk) -> None:
    first = desk.task()["id"]
    task_id = desk.task()["id"]
    desk.post(f"/tasks/{task_id}/dependencies", depends_on_task_id=first)
    run_id = desk.post(f"/tasks/{task_id}/runs").json()["run"]["id"]
    with expect_unchanged():
        refused(call(desk, run_id, "claim"), 409, "blocks")


@pytest.mark.parametrize(
    ("kind", "status"),
    [("human", 200), ("automation", 200), ("extension", 200), ("network_peer", 200), ("pool", 403)],
)
def test_claim__by_the_kind_of_owner(desk: Desk, kind: str, status: int) -> None:
    _, run_id = queued(desk, owner={"kind": kind, "ref": "drafter"})
    assert call(desk, run_id, "claim").status_code == status
    assert Run.objects.get().status == ("claimed" if status == 200 else "queued")


def test_claim__of_a_task_that_a_session_owns_is_for_that_session(desk: Desk) -> None:
    owner, other = desk.agent(), desk.agent(session_id="s-2")
    _, run_id = queued(desk, owner={"kind": "agent_session", "ref": "s-1"})
    with expect_unchanged():
        refused(call(desk, run_id, "claim"), 403, "session")
        refused(as_agent(desk, run_id, "claim", other, idempotency_key="k"), 403, "session")
    answer = as_agent(desk, run_id, "claim", owner, idempotency_key="k")
    run = expect("claimTaskRun", answer)["run"]
    assert run["claimed_by"] == {"kind": "agent_session", "ref": "s-1"}
    assert "session_id" not in run


def test_agents__must_send_a_key_for_claim_and_start(desk: Desk) -> None:
    agent = desk.agent()
    _, run_id = queued(desk)
    with expect_unchanged():
        refused(as_agent(desk, run_id, "claim", agent), 422, "idempotency_key")
    assert as_agent(desk, run_id, "claim", agent, idempotency_key="k").status_code == 200
    with expect_unchanged():
        refused(as_agent(desk, run_id, "start", agent), 422, "idempotency_key")
        # The key does not make the claim a repeated one.
        refused(as_agent(desk, run_id, "claim", agent, idempotency_key="k"), 409)
    assert as_agent(desk, run_id, "start", agent, idempotency_key="k").status_code == 200


# --- start ----------------------------------------------------------------------------------------


def test_start__opens_a_session(house: House, desk: Desk) -> None:
    task_id, run_id = claimed(desk, **of_pool(house))
    run = done(desk, run_id, "start")
    assert run["status"] == "running"
    assert run["started_at"]
    assert run["claimed_by"]["kind"] == "human"
    session = AgentSession.objects.get(session_id=run["session_id"])
    assert (session.state, session.agent_name) == ("active", "operator")
    assert session.workspace_id == house.pool.id
    assert status_of(desk, task_id) == "in_progress"
    kinds = ("task.run_starting", "task.run_session_bound", "task.run_started")
    entries = logged(task_id, *kinds)
    assert [entry.type for entry in entries] == list(kinds)
    assert {entry.payload["session_id"] for entry in entries} == {session.session_id}
    assert [entry.payload["status"] for entry in entries] == ["starting", "starting", "running"]
    shown = desk.caller.get(f"{SESSIONS}/{session.session_id}").json()
    assert shown["run_id"] == run_id


def test_start__of_the_agent_that_the_profile_chooses(desk: Desk) -> None:
    worker: dict[str, Any]
    for worker, agent in [
        ({"agent_name": "drafter"}, "drafter"),
        ({"allowed_agent_names": ["a", "b"], "preferred_agent_names": ["c", "b"]}, "b"),
        ({"allowed_agent_names": ["b", "a"]}, "a"),
        ({"required_capabilities": ["french"]}, "operator"),
    ]:
        task_id = desk.task()["id"]
        desk.put(f"/tasks/{task_id}/execution-profile", worker=worker)
        run_id = desk.started(task_id)["id"]
        done(desk, run_id, "claim")
        session_id = done(desk, run_id, "start")["session_id"]
        session = AgentSession.objects.get(session_id=session_id)
        assert session.agent_name == agent
        assert session.capabilities == worker.get("required_capabilities", [])


def test_start__fails_the_run_when_no_session_can_be_opened(house: House, desk: Desk) -> None:
    task_id, run_id = claimed(desk, **of_pool(house))
    Pool.objects.filter(id=house.pool.id).update(status="closed")
    text = refused(call(desk, run_id, "start"), 409, "No session was opened", "closed")
    run = Run.objects.get()
    assert (run.status, run.error) == ("failed", "The workspace is closed.")
    assert run.error in text
    assert AgentSession.objects.count() == 0
    entries = logged(task_id, "task.run_starting", "task.run_failed", "task.run_started")
    assert [entry.type for entry in entries] == ["task.run_starting", "task.run_failed"]
    assert entries[1].payload["error"] == run.error
    assert status_of(desk, task_id) == "ready"
    assert_loads_are_true()


def test_start__of_a_starting_run_uses_its_session(desk: Desk) -> None:
    agent = desk.agent()
    task_id, run_id = starting(desk, agent)
    run = done(desk, run_id, "start")
    assert (run["status"], run["session_id"]) == ("running", "s-1")
    assert AgentSession.objects.count() == 1
    assert [entry.type for entry in logged(task_id)][-1] == "task.run_started"


def test_start__needs_a_bound_session_once_the_run_is_starting(desk: Desk) -> None:
    _, run_id = starting(desk, desk.agent())
    RunDetails.objects.update(session_id="")
    with expect_unchanged():
        refused(call(desk, run_id, "start"), 409, "attach")


def test_executors_session__claims_nothing_else(desk: Desk) -> None:
    _, run_id = running(desk)
    queued(desk)
    session = AgentSession.objects.get()
    agent = Agent(desk.caller, session.session_id, session.agent_name)
    refused(agent.claim(), 409, "AUTONOMY_LEASE_ALREADY_HELD", run_id)


# --- attach-session -------------------------------------------------------------------------------


def test_attach__binds_a_session_and_the_run_is_starting(house: House, desk: Desk) -> None:
    agent = desk.agent(house)
    task_id, run_id = claimed(desk, **of_pool(house))
    before = desk.patch(f"/tasks/{task_id}", title="Draft").json()["task"]["updated_at"]
    run = done(desk, run_id, "attach-session", session_id=" s-1 ")
    assert (run["status"], run["session_id"]) == ("starting", "s-1")
    assert "started_at" not in run
    assert Task.objects.get().status == "accepted"
    task = desk.patch(f"/tasks/{task_id}", title="Draft").json()["task"]
    assert (task["status"], task["current_run_id"]) == ("in_progress", run_id)
    assert task["updated_at"] > before
    entries = logged(task_id, "task.run_starting", "task.run_session_bound")
    assert [entry.payload["session_id"] for entry in entries] == ["s-1", "s-1"]
    refused(agent.claim(), 409, "AUTONOMY_LEASE_ALREADY_HELD", run_id)
    refused(agent.on(run_id, "complete"), 409, "AUTONOMY_NO_ACTIVE_LEASE")


def test_attach__of_an_unknown_session(house: House, desk: Desk) -> None:
    _, run_id = claimed(desk)
    elsewhere = strangers_desk(house)
    elsewhere.agent(session_id="theirs")
    with expect_unchanged():
        refused(call(desk, run_id, "attach-session", session_id="none"), 404, "session")
        refused(call(desk, run_id, "attach-session", session_id="theirs"), 404, "session")
        refused(call(desk, run_id, "attach-session", session_id=" "), 422, "session_id")
        refused(desk.post(f"/task-runs/{run_id}/attach-session"), 422, "session_id")


def test_attach__of_a_session_that_is_not_attachable(house: House, desk: Desk) -> None:
    desk.agent()
    desk.caller.delete(f"{SESSIONS}/s-1")
    desk.agent(house, "s-2")
    _, run_id = claimed(desk)
    for session_id in ("s-1", "s-2"):
        with expect_unchanged():
            refused(call(desk, run_id, "attach-session", session_id=session_id), 409, "session")


def test_attach__of_a_session_that_is_busy(desk: Desk) -> None:
    holder, bound = desk.agent(), desk.agent(session_id="s-2")
    queued(desk)
    holder.claimed()
    _, first = starting(desk, bound)
    _, run_id = claimed(desk)
    with expect_unchanged():
        refused(call(desk, run_id, "attach-session", session_id="s-1"), 409, "another run")
        refused(call(desk, run_id, "attach-session", session_id="s-2"), 409, "another run")
    desk.agent(session_id="s-3")
    with expect_unchanged():
        refused(call(desk, first, "attach-session", session_id="s-3"), 409, "is bound")
    done(desk, first, "fail")
    assert done(desk, run_id, "attach-session", session_id="s-2")["session_id"] == "s-2"


def test_bound_session__that_ends_gives_the_run_back(desk: Desk) -> None:
    task_id, run_id = starting(desk, desk.agent())
    done(desk, run_id, "start")
    desk.caller.delete(f"{SESSIONS}/s-1")
    run = Run.objects.get(id=run_id)
    assert (run.status, run.worker_id, run.started_at) == ("queued", None, None)
    details = RunDetails.objects.get()
    assert (details.session_id, details.claimed_by_kind) == ("", "")
    (entry,) = logged(task_id, "task.run_released")
    assert entry.payload["reason"] == "session_stopped"
    assert entry.payload["previous_status"] == "running"
    assert status_of(desk, task_id) == "ready"
    assert desk.agent(session_id="s-2").claimed()["run"]["id"] == run_id


# --- complete and fail ----------------------------------------------------------------------------


def test_complete__completes_the_task_and_ends_the_session(desk: Desk) -> None:
    task_id, run_id = running(desk)
    run = done(desk, run_id, "complete", result={"text": "Sent"})
    assert (run["status"], run["result"]) == ("completed", {"text": "Sent"})
    assert run["ended_at"]
    session = AgentSession.objects.get()
    assert (run["session_id"], session.state) == (session.session_id, "stopped")
    assert status_of(desk, task_id) == "completed"
    (entry,) = logged(task_id, "task.run_completed")
    assert entry.payload["result"] == {"text": "Sent"}
    assert_loads_are_true()
    refused(call(desk, run_id, "complete"), 409, "completed")


def test_complete__needs_no_result(desk: Desk) -> None:
    _, run_id = running(desk)
    assert "result" not in done(desk, run_id, "complete")


def test_complete__only_unbinds_an_agents_own_session(desk: Desk) -> None:
    agent = desk.agent()
    _, run_id = starting(desk, agent)
    done(desk, run_id, "start")
    done(desk, run_id, "complete")
    assert AgentSession.objects.get().state == "active"
    refused(agent.on(run_id, "heartbeat"), 409, "AUTONOMY_LEASE_EXPIRED")
    _, other = queued(desk)
    assert agent.claimed()["run"]["id"] == other


def test_complete__queues_the_dependents_that_wait_for_it(desk: Desk) -> None:
    task_id, run_id = running(desk)
    dependent = desk.task(auto_enqueue_on_ready=True)["id"]
    desk.post(f"/tasks/{dependent}/dependencies", depends_on_task_id=task_id)
    done(desk, run_id, "complete")
    fire_due(at=clock.now())
    run = Run.objects.get(task__details__wire_id=dependent)
    assert run.status == "queued"
    key = f"task.auto_enqueue.{dependent}.{run_id}"
    assert RunDetails.objects.get(run=run).idempotency_key == key
    # By who completed it.
    entry = LogEntry.objects.get(type="task.run_enqueued", run_id=run.id)
    assert (entry.actor_kind, entry.actor_ref) == ("human", desk.caller.principal.text)
    assert (entry.origin_kind, entry.origin_ref) == ("http", "tasks.auto_enqueue")


def test_complete__by_a_session_queues_dependents_in_its_name(desk: Desk) -> None:
    task_id, run_id = queued(desk)
    dependent = desk.task(auto_enqueue_on_ready=True)["id"]
    desk.post(f"/tasks/{dependent}/dependencies", depends_on_task_id=task_id)
    agent = desk.agent()
    assert agent.claimed()["run"]["id"] == run_id
    assert agent.on(run_id, "complete", result={"a": 1}).status_code == 200
    fire_due(at=clock.now())
    entry = LogEntry.objects.get(type="task.run_enqueued", task__details__wire_id=dependent)
    assert (entry.actor_kind, entry.actor_ref) == ("agent_session", "s-1")


def test_complete__of_another_apis_task_queues_dependents_for_its_worker(
    house: House, desk: Desk
) -> None:
    run = house.started()
    dependent = desk.task(auto_enqueue_on_ready=True)["id"]
    desk.post(f"/tasks/{dependent}/dependencies", depends_on_task_id=str(run.task_id))
    assert act(house.bob, run, "submit", output=OUTPUT).status_code == 200
    assert verify_submitted() == 1
    fire_due(at=clock.now())
    entry = LogEntry.objects.get(type="task.run_enqueued", task__details__wire_id=dependent)
    assert (entry.actor_kind, entry.actor_ref) == ("human", house.bob.principal.text)


# --- runs without details -------------------------------------------------------------------------


def test_run_without_details__is_read_everywhere(house: House, desk: Desk) -> None:
    """The kernel may have made it beside the previous version."""
    task_id, run_id = queued(desk, **of_pool(house))
    RunDetails.objects.filter(run_id=run_id).delete()
    reads = [
        "/tasks",
        f"/tasks/{task_id}",
        *(f"/tasks/{task_id}/{part}" for part in ("runs", "tree", "timeline", "inspect")),
        f"/task-runs/{run_id}",
        f"/runs/{run_id}/inspect",
        "/observe/tasks/dashboard",
        "/observe/tasks/inbox",
        "/scheduler",
        "/scheduler/backlog",
    ]
    for path in reads:
        assert desk.get(path).status_code == 200, path
    shown = desk.get(f"/task-runs/{run_id}").json()["run"]["run"]
    assert (shown["status"], shown["id"]) == ("queued", run_id)
    assert desk.patch(f"/tasks/{task_id}", title="Another").status_code == 200
    profile = {"worker": {"required_capabilities": ["french"]}}
    assert desk.put(f"/tasks/{task_id}/execution-profile", **profile).status_code == 200
    step_starved(at=clock.now() + timedelta(hours=1))


@pytest.mark.parametrize(
    ("before", "path", "body"),
    [
        ((), "/task-runs/{run}/claim", {}),
        ((), "/task-runs/{run}/cancel", {}),
        ((), "/runs/{run}/fail", {"reason": "Stalled"}),
        (("claim",), "/runs/{run}/release", {}),
        (("claim",), "/task-runs/{run}/start", {}),
        (("claim", "start"), "/task-runs/{run}/complete", {}),
        (("claim", "start"), "/task-runs/{run}/fail", {"error": "No line"}),
        (("claim", "start"), "/task-runs/{run}/cancel", {}),
    ],
)
def test_run_without_details__is_changed(
    desk: Desk, before: Sequence[str], path: str, body: dict[str, Any]
) -> None:
    _, run_id = queued(desk)
    for verb in before:
        done(desk, run_id, verb)
    RunDetails.objects.filter(run_id=run_id).delete()
    answer = desk.post(path.format(run=run_id), **body)
    assert answer.status_code == 200, answer.content
    assert RunDetails.objects.filter(run_id=run_id).exists()


def test_run_without_details__is_claimed_and_completed_by_a_session(desk: Desk) -> None:
    _, run_id = queued(desk)
    RunDetails.objects.filter(run_id=run_id).delete()
    agent = desk.agent()
    assert agent.claimed()["run"]["id"] == run_id
    for verb, body in (("heartbeat", {}), ("complete", {"result": {"a": 1}})):
        assert agent.on(run_id, verb, **body).status_code == 200
    assert desk.get(f"/task-runs/{run_id}").status_code == 200


def test_complete__waits_for_a_review_that_its_operator_may_not_give(
    house: House, desk: Desk
) -> None:
    set_policy(house.pool)
    task_id, run_id = running(desk, **of_pool(house))
    done(desk, run_id, "complete", result={"text": "Sent"})
    assert status_of(desk, task_id) == "in_progress"
    review = desk.caller.get("/v1/reviews").json()["data"][0]
    body = {"version": review["version"], "verdict": "approve"}
    own = desk.caller.post(f"/v1/reviews/{review['review_id']}/verdict", body)
    assert (own.status_code, own.json()["code"]) == (403, "own_work")


def test_complete__is_not_reviewed_by_whose_session_did_the_work(house: House, desk: Desk) -> None:
    set_policy(house.pool)
    other = desk_of(house)
    registered(other.caller, "s-other", workspace_id=str(house.pool.id))
    task_id = desk.task(scope="workspace", workspace=str(house.pool.id))["id"]
    run_id = desk.started(task_id)["id"]
    for verb, body in (
        ("claim", {}),
        ("attach-session", {"session_id": "s-other"}),
        ("start", {}),
        ("complete", {"result": {"a": 1}}),
    ):
        answer = desk.post(f"/task-runs/{run_id}/{verb}", **body)
        assert answer.status_code == 200, answer.content
    review = other.caller.get("/v1/reviews").json()["data"][0]
    body = {"version": review["version"], "verdict": "approve"}
    answer = other.caller.post(f"/v1/reviews/{review['review_id']}/verdict", body)
    assert (answer.status_code, answer.json()["code"]) == (403, "own_work")


def test_claim__of_a_run_that_a_review_sent_back(house: House, desk: Desk) -> None:
    set_policy(house.pool)
    fields = {**of_pool(house), "network_channel": "ops"}
    task_id, run_id = running(desk, **fields)
    done(desk, run_id, "complete", result={"text": "Sent"})
    decide(reviewer(house).principal, Review.objects.get(), "rework")
    again = Run.objects.get(attempt=2)
    run = done(desk, str(again.id), "claim")
    assert (run["network_channel"], run["origin"]["kind"]) == ("ops", "daemon")
    assert status_of(desk, task_id) == "ready"
    assert done(desk, str(again.id), "start")["session_id"]


def test_rework__needs_what_the_profile_requires_by_then(house: House, desk: Desk) -> None:
    """The run that follows a review is queued, so it copies the profile's capabilities."""
    set_policy(house.pool)
    task_id, run_id = running(desk, **of_pool(house))
    done(desk, run_id, "complete", result={"text": "Sent"})
    profile = {
        "worker": {"required_capabilities": ["french"], "preferred_capabilities": ["law"]},
    }
    answer = desk.put(f"/tasks/{task_id}/execution-profile", **profile)
    assert answer.status_code == 200, answer.content
    decide(reviewer(house).principal, Review.objects.get(), "rework")
    details = RunDetails.objects.get(run__attempt=2)
    assert details.required_capabilities == ["french"]
    assert details.preferred_capabilities == ["law"]
    plain = desk.agent(house, "s-plain", name="plain")
    assert plain.claim().status_code == 204
    able = desk.agent(house, "s-able", name="able", capabilities=["french"])
    assert able.claimed()["run"]["id"] == str(details.run_id)


@pytest.mark.parametrize("verb", ["complete", "fail"])
def test_payload__is_bounded_and_without_claim_tokens(desk: Desk, verb: str) -> None:
    _, run_id = running(desk)
    name = "result" if verb == "complete" else "metadata"
    with expect_unchanged():
        refused(call(desk, run_id, verb, **{name: "x" * 65_536}), 413, name)
        refused(call(desk, run_id, verb, **{name: [{"Claim_Token": 1}]}), 422, "claim_token")
    assert call(desk, run_id, verb, **{name: "x" * 65_000}).status_code == 200


@pytest.mark.parametrize("state", [starting, running])
def test_fail__leaves_the_task_ready_while_attempts_are_left(
    desk: Desk, state: Callable[..., tuple[str, str]]
) -> None:
    more = [desk.agent()] if state is starting else []
    task_id, run_id = state(desk, *more)
    secret = "agh_claim_abc"
    run = done(desk, run_id, "fail", error=f"No line {secret}", metadata={"tries": 3})
    assert (run["status"], run["error"]) == ("failed", "No line [redacted]")
    assert "metadata" not in run
    assert status_of(desk, task_id) == "ready"
    (entry,) = logged(task_id, "task.run_failed")
    assert entry.payload == {
        "task_status": "ready",
        "status": "failed",
        "error": "No line [redacted]",
        "metadata": {"tries": 3},
    }
    assert AgentSession.objects.get().state == ("active" if state is starting else "stopped")
    assert_loads_are_true()


def test_fail__of_the_last_attempt_fails_the_task(desk: Desk) -> None:
    for state in ("starting", "running"):
        agent = desk.agent(session_id=f"s-{state}")
        task_id, run_id = starting(desk, agent, max_attempts=1)
        if state == "running":
            done(desk, run_id, "start")
        done(desk, run_id, "fail")
        assert status_of(desk, task_id) == "failed"
        assert logged(task_id, "task.run_failed")[0].payload["task_status"] == "failed"


def test_fail__needs_an_error(desk: Desk) -> None:
    _, run_id = running(desk)
    with expect_unchanged():
        refused(call(desk, run_id, "fail", error="  "), 422, "error")
        refused(desk.post(f"/task-runs/{run_id}/fail"), 422, "error")


# --- cancel ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [queued, claimed])
def test_cancel__cancels_the_task(desk: Desk, state: Callable[..., tuple[str, str]]) -> None:
    task_id, run_id = state(desk)
    run = done(desk, run_id, "cancel", reason="A duplicate", metadata={"of": 1})
    assert run["status"] == "canceled"
    assert run["ended_at"]
    assert status_of(desk, task_id) == "canceled"
    (entry,) = logged(task_id, "task.run_canceled")
    assert entry.payload == {
        "task_status": "canceled",
        "status": "canceled",
        "reason": "A duplicate",
        "metadata": {"of": 1},
    }
    assert logged(task_id, "task.run_force_stopped") == []
    assert_loads_are_true()
    with expect_unchanged():
        refused(call(desk, run_id, "cancel"), 409, "canceled")
        refused(desk.post(f"/tasks/{task_id}/start"), 409)


@pytest.mark.parametrize("is_task", [False, True])
def test_cancel__stops_the_session_at_work(desk: Desk, *, is_task: bool) -> None:
    task_id, run_id = running(desk)
    session = AgentSession.objects.get()
    if is_task:
        assert desk.post(f"/tasks/{task_id}/cancel").status_code == 200
        assert stop_silent_sessions() == 1
    else:
        assert done(desk, run_id, "cancel")["session_id"] == session.session_id
    session.refresh_from_db()
    assert session.state == "stopped"
    canceled, stopped = logged(task_id, "task.run_canceled", "task.run_force_stopped")
    assert canceled.payload["cooperative_stop_requested"] is True
    assert stopped.payload["session_id"] == session.session_id
    assert stopped.payload["grace_timeout_ms"] == 5000
    assert_loads_are_true()


def test_cancel__of_a_leased_run_ends_its_claim(desk: Desk) -> None:
    _, run_id = queued(desk)
    agent = desk.agent()
    agent.claimed()
    run = done(desk, run_id, "cancel")
    assert run["claim_token_hash"]
    assert run.keys() & {"lease_until", "heartbeat_at"} == set()
    refused(agent.on(run_id, "complete"), 409, "AUTONOMY_LEASE_EXPIRED")


def test_cancel__of_a_run_that_needs_attention(desk: Desk) -> None:
    task_id, run_id = queued(desk)
    Run.objects.filter(id=run_id).update(status="needs_attention")
    assert done(desk, run_id, "cancel")["status"] == "canceled"
    assert status_of(desk, task_id) == "canceled"


def test_cancel__leaves_the_tasks_below_it(desk: Desk) -> None:
    task_id, run_id = queued(desk)
    child = desk.post(f"/tasks/{task_id}/children", scope="global", title="Below").json()["task"]
    done(desk, run_id, "cancel")
    assert status_of(desk, child["id"]) == "ready"


# --- sessions that were opened --------------------------------------------------------------------


def test_executors_session__goes_on_while_its_run_is_held(desk: Desk) -> None:
    running(desk)
    assert stop_silent_sessions(at=clock.now() + timedelta(days=30)) == 0
    assert AgentSession.objects.get().state == "active"


# --- what all calls have in common ----------------------------------------------------------------


ALLOWED = {
    "queued": {"claim", "cancel"},
    "claimed": {"start", "attach-session", "cancel"},
    "starting": {"start", "fail", "cancel"},
    "running": {"complete", "fail", "cancel"},
    "completed": set(),
    "failed": set(),
    "canceled": set(),
}


@pytest.mark.parametrize("status", ALLOWED)
def test_calls__are_refused_in_other_statuses(desk: Desk, status: str) -> None:
    agent = desk.agent(session_id="s-0")
    desk.agent()
    ways: dict[str, Callable[[], tuple[str, str]]] = {
        "queued": lambda: queued(desk),
        "claimed": lambda: claimed(desk),
        "starting": lambda: starting(desk, agent),
    }
    _, run_id = ways.get(status, lambda: running(desk))()
    if status in ("completed", "failed", "canceled"):
        done(desk, run_id, {"completed": "complete", "failed": "fail"}.get(status, "cancel"))
    assert Run.objects.get().status == status
    for verb in VERBS:
        if verb not in ALLOWED[status]:
            with expect_unchanged():
                refused(call(desk, run_id, verb), 409)


def test_calls__on_a_leased_run_are_its_sessions(desk: Desk) -> None:
    _, run_id = queued(desk)
    desk.agent(session_id="s-2")
    desk.agent().claimed()
    for verb in ("claim", "start", "attach-session", "complete", "fail"):
        with expect_unchanged():
            refused(call(desk, run_id, verb, **_other(verb)), 409, "lease")


def _other(verb: str) -> dict[str, str]:
    return {"session_id": "s-2"} if verb == "attach-session" else {}


def test_calls__on_runs_of_another_organisation_are_404(house: House, desk: Desk) -> None:
    _, run_id = queued(desk)
    stranger = strangers_desk(house)
    stranger.agent()
    for verb in VERBS:
        for unknown in (run_id, "none", str(uuid4())):
            with expect_unchanged():
                refused(call(stranger, unknown, verb), 404, "run")


@pytest.mark.parametrize("verb", VERBS)
def test_calls__need_their_scope_and_role(house: House, desk: Desk, verb: str) -> None:
    _, run_id = queued(desk)
    scope = Scope.TASKS_CANCEL if verb == "cancel" else Scope.TASKS_MANAGE
    least = Role.VIEWER if verb == "cancel" else Role.EDITOR
    others = [one for one in Scope if one not in (scope, Scope.WORK)]
    callers = [desk_of(house, scopes=others), desk_of(house, role=least, scopes=[scope])]
    with expect_unchanged():
        for caller in callers:
            refused(call(caller, run_id, verb), 403)
    assert Caller("none").post(f"/api/task-runs/{run_id}/{verb}", {}).status_code == 401


def test_calls__on_a_task_of_another_api_are_refused(house: House, desk: Desk) -> None:
    run = house.accepted()
    desk.agent()
    for verb in VERBS:
        with expect_unchanged():
            refused(call(desk, str(run.id), verb), 409, "not one of this API")


def test_calls__on_a_deleted_tasks_run_are_404(desk: Desk) -> None:
    task_id, run_id = queued(desk)
    done(desk, run_id, "cancel")
    assert desk.delete(f"/tasks/{task_id}").status_code == 204
    for verb in ("claim", "cancel"):
        refused(call(desk, run_id, verb), 404)


def test_completed_run__names_who_completed_it(desk: Desk) -> None:
    _, run_id = running(desk)
    done(desk, run_id, "complete")
    claim = AgentClaim.objects.get()
    assert str(claim.run_id) == run_id
    assert (claim.end, claim.completed_by) == ("completed", desk.caller.principal.text)
