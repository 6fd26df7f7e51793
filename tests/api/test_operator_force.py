"""`/api/runs`: what operators do by force to runs that they do not hold."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings

from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.agents.models import AgentClaim
from apps.base import clock
from apps.operations.models import ForceWindow, LogEntry, RunDetails
from apps.operations.services import delete_force_windows, step_starved
from apps.pools.models import Worker
from apps.tasks.models import Run, Task
from tests.agent_steps import Agent
from tests.api.agh_contract import OPERATIONS, answer_faults, error_faults
from tests.api.expect import expect_unchanged
from tests.factories import NO_ID, Caller, House
from tests.operator_steps import Desk, desk_of


def expect(operation_id: str, response: Any) -> Any:
    status = OPERATIONS[operation_id]["success_status"]
    assert response.status_code == status, response.content
    body = response.json()
    assert answer_faults(operation_id, body) == []
    return body


def refused(response: Any, status: int, code: str | None = None) -> Any:
    """Assert that a call is refused, and return what its error says."""
    assert response.status_code == status, response.content
    body = response.json()
    assert error_faults(body) == []
    assert body.get("diagnostic", {}).get("code") == code
    return body


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


@pytest.fixture
def agent(house: House, desk: Desk) -> Agent:
    return desk.agent(house)


@pytest.fixture
def stranger(house: House) -> Desk:
    """Provide the calls of another organisation's manager."""
    key = issue_key(
        organisation_id=house.charlie.principal.organisation_id,
        name="Stranger",
        role=Role.MANAGER,
        scopes=[scope for scope in Scope if scope is not Scope.WORK],
    )
    return Desk(Caller(key))


def queued(desk: Desk, house: House, **fields: Any) -> str:
    """Return a queued run of a new task in the house's pool."""
    task = desk.task(scope="workspace", workspace=house.pool.name, **fields)
    run_id: str = desk.started(task["id"])["id"]
    return run_id


def claimed(desk: Desk, house: House, agent: Agent, **fields: Any) -> str:
    run_id = queued(desk, house, **fields)
    assert agent.claimed()["run"]["id"] == run_id
    return run_id


def failed(desk: Desk, house: House, **fields: Any) -> str:
    run_id = queued(desk, house, **fields)
    assert force(desk, run_id, "fail", reason="broken").status_code == 200
    return run_id


def shelved(desk: Desk, house: House, **fields: Any) -> str:
    """Return a run that needs attention."""
    run_id = queued(desk, house, **fields)
    ago = clock.now() - timedelta(minutes=5)
    Run.objects.filter(id=run_id).update(queued_at=ago)
    Task.objects.filter(runs__id=run_id).update(run_queued_at=ago)
    RunDetails.objects.filter(run_id=run_id).update(starvation_count=9)
    assert step_starved() == 1
    return run_id


def force(desk: Desk, run_id: str, verb: str, **body: Any) -> Any:
    return desk.post(f"/runs/{run_id}/{verb}", **body)


def as_agent(desk: Desk, agent: Agent, path: str, **body: Any) -> Any:
    identity = {"X-AGH-Session-ID": agent.session_id, "X-AGH-Agent": agent.name}
    return desk.caller.post(f"/api{path}", body, **identity)


def entry(kind: str) -> LogEntry:
    return LogEntry.objects.get(type=f"task.{kind}")


def task_of(run_id: str) -> Task:
    return Task.objects.get(runs__id=run_id)


def wire_id(run_id: str) -> str:
    return str(task_of(run_id).details.wire_id)


def status_of(desk: Desk, run_id: str) -> str:
    """Return the status of a run's task, by a call that changes nothing."""
    answer = desk.patch(f"/tasks/{wire_id(run_id)}", title=task_of(run_id).title)
    status: str = answer.json()["task"]["status"]
    return status


def is_free(agent: Agent) -> bool:
    """Return whether a session's worker has nothing to do."""
    session = AgentClaim.objects.filter(session__session_id=agent.session_id).first()
    assert session is not None
    return Worker.objects.get(id=session.session.worker_id).load == 0


# --- release --------------------------------------------------------------------------------------


def test_release__queues_the_run_again(house: House, desk: Desk, agent: Agent) -> None:
    run_id = claimed(desk, house, agent)
    before = Run.objects.get(id=run_id)
    answer = force(desk, run_id, "release", reason="It stands still.", metadata={"n": 1})
    run = expect("forceReleaseTaskRun", answer)["run"]
    assert (run["status"], run["attempt"]) == ("queued", 1)
    holder = {"claimed_by", "claimed_at", "claim_token_hash", "session_id", "lease_until"}
    assert not holder & run.keys()
    after = Run.objects.get(id=run_id)
    assert (after.queued_at, after.worker_id) == (before.queued_at, None)
    assert status_of(desk, run_id) == "ready"
    payload = entry("run_released").payload
    assert payload.pop("previous_lease_until")
    assert len(payload.pop("previous_claim_token_hash_truncated")) == 8
    assert payload == {
        "manual": True,
        "actor_kind": "human",
        "actor_id": desk.caller.principal.text,
        "status": "queued",
        "task_status": "ready",
        "previous_status": "claimed",
        "previous_session_id": "s-1",
        "reason": "It stands still.",
        "metadata": {"n": 1},
    }


def test_release__ends_the_claim_of_the_session(house: House, desk: Desk, agent: Agent) -> None:
    run_id = claimed(desk, house, agent)
    force(desk, run_id, "release")
    claim = AgentClaim.objects.get()
    assert (claim.end, claim.ended_at is not None) == ("lost", True)
    for verb in ("heartbeat", "complete", "release"):
        refused(agent.on(run_id, verb), 409, "autonomy_lease_expired")
    assert is_free(agent)
    # It may claim at once, the same run.
    assert agent.claimed()["run"]["id"] == run_id


def test_release__of_a_run_whose_lease_is_over(house: House, desk: Desk, agent: Agent) -> None:
    run_id = claimed(desk, house, agent)
    Run.objects.filter(id=run_id).update(lease_until=clock.now() - timedelta(seconds=1))
    expect("forceReleaseTaskRun", force(desk, run_id, "release"))


@pytest.mark.parametrize("source", ["queued", "failed", "running", "needs_attention"])
def test_release__of_another_status_is_refused(
    house: House, desk: Desk, agent: Agent, source: str
) -> None:
    run_id = in_status(desk, house, agent, source)
    with expect_unchanged():
        refused(force(desk, run_id, "release"), 409, "task_run_not_releasable")


def in_status(desk: Desk, house: House, agent: Agent, status: str) -> str:
    """Return a run in a status."""
    if status == "failed":
        return failed(desk, house)
    if status == "needs_attention":
        return shelved(desk, house)
    run_id = queued(desk, house)
    if status == "canceled":
        assert desk.post(f"/tasks/{wire_id(run_id)}/cancel").status_code == 200
    elif status != "queued":
        agent.claimed()
    if status == "completed":
        assert agent.on(run_id, "complete", result={}).status_code == 200
    elif status in ("starting", "running"):
        Run.objects.filter(id=run_id).update(status=status, started_at=clock.now())
    return run_id


# --- fail -----------------------------------------------------------------------------------------


def test_fail__of_a_queued_run_leaves_the_task_without_one(
    house: House, desk: Desk, agent: Agent
) -> None:
    run_id = queued(desk, house)
    answer = force(desk, run_id, "fail", reason="Not needed.", metadata={"n": 1})
    run = expect("forceFailTaskRun", answer)["run"]
    assert (run["status"], run["error"], run["failure_kind"]) == (
        "failed",
        "Not needed.",
        "operator_forced",
    )
    assert run["ended_at"]
    assert agent.claim().status_code == 204
    assert status_of(desk, run_id) == "ready"
    assert entry("run_operator_forced_fail").payload == {
        "manual": True,
        "actor_kind": "human",
        "actor_id": desk.caller.principal.text,
        "status": "failed",
        "task_status": "ready",
        "previous_status": "queued",
        "reason": "Not needed.",
        "metadata": {"n": 1},
    }


def test_fail__of_a_claimed_run_ends_the_claim(house: House, desk: Desk, agent: Agent) -> None:
    run_id = claimed(desk, house, agent)
    run = expect("forceFailTaskRun", force(desk, run_id, "fail", reason="stuck"))["run"]
    assert run["session_id"] == "s-1"
    assert not {"claim_token_hash", "lease_until", "heartbeat_at"} & run.keys()
    assert entry("run_operator_forced_fail").payload["session_id"] == "s-1"
    refused(agent.on(run_id, "complete", result={}), 409, "autonomy_lease_expired")
    assert is_free(agent)
    assert status_of(desk, run_id) == "ready"
    assert not LogEntry.objects.filter(type="task.run_failed").exists()


@pytest.mark.parametrize("source", ["queued", "claimed"])
def test_fail__of_the_last_attempt_fails_the_task(
    house: House, desk: Desk, agent: Agent, source: str
) -> None:
    run_id = queued(desk, house, max_attempts=1)
    if source == "claimed":
        agent.claimed()
    expect("forceFailTaskRun", force(desk, run_id, "fail", reason="stuck"))
    assert status_of(desk, run_id) == "failed"
    assert entry("run_operator_forced_fail").payload["task_status"] == "failed"
    refused(force(desk, run_id, "retry"), 409)
    # Further attempts can be allowed.
    desk.patch(f"/tasks/{wire_id(run_id)}", max_attempts=2)
    expect("retryTaskRun", force(desk, run_id, "retry"))
    assert status_of(desk, run_id) == "ready"


def test_refusal__has_evidence_of_ids_and_status(house: House, desk: Desk) -> None:
    run_id = queued(desk, house)
    known = {"run_id": run_id, "task_id": wire_id(run_id), "status": "queued"}
    single = refused(force(desk, run_id, "release"), 409, "task_run_not_releasable")
    evidence = single["diagnostic"]["evidence"]
    assert evidence.pop("request_id").startswith("req_")
    assert evidence == known
    (row,) = desk.post("/runs/bulk/release", run_ids=[run_id]).json()["results"]
    assert row["error"]["diagnostic"]["evidence"] == known
    many = refused(desk.post("/runs/bulk/release", run_ids=["r"] * 51), 422, "bulk_too_large")
    assert many["diagnostic"]["evidence"].items() >= {"limit": 50, "count": 51}.items()
    task_id = desk.task()["id"]
    desk.post(f"/tasks/{task_id}/cancel")
    paused = desk.post(f"/tasks/{task_id}/pause", reason="Wait")
    told = refused(paused, 409, "task_run_already_terminal")["diagnostic"]["evidence"]
    assert told.items() >= {"task_id": task_id, "status": "canceled"}.items()


def test_refusal__of_a_session_that_holds_a_run_names_it(house: House, desk: Desk) -> None:
    run_id = queued(desk, house)
    agent = desk.agent(house)
    agent.claimed()
    answer = agent.claim().json()["diagnostic"]
    assert answer["evidence"]["held_run_id"] == run_id


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": None}])
def test_fail__needs_a_reason(house: House, desk: Desk, body: dict[str, Any]) -> None:
    run_id = queued(desk, house)
    with expect_unchanged():
        refused(force(desk, run_id, "fail", **body), 422, "force_op_requires_reason")
        # Before the run is looked for.
        refused(force(desk, NO_ID, "fail", **body), 422, "force_op_requires_reason")


@pytest.mark.parametrize("source", ["completed", "failed", "canceled"])
def test_fail__of_a_finished_run_is_refused(
    house: House, desk: Desk, agent: Agent, source: str
) -> None:
    run_id = in_status(desk, house, agent, source)
    with expect_unchanged():
        answer = force(desk, run_id, "fail", reason="x")
        body = refused(answer, 409, "task_run_already_terminal")
    assert body["diagnostic"]["severity"] == "info"


@pytest.mark.parametrize("source", ["starting", "running", "needs_attention"])
def test_fail__of_an_active_run_is_refused(
    house: House, desk: Desk, agent: Agent, source: str
) -> None:
    run_id = in_status(desk, house, agent, source)
    with expect_unchanged():
        refused(force(desk, run_id, "fail", reason="x"), 409, "task_run_still_active")


def test_fail__redacts_claim_tokens(house: House, desk: Desk) -> None:
    run_id = queued(desk, house)
    run = force(desk, run_id, "fail", reason="saw agh_claim_abc in the log").json()["run"]
    assert run["error"] == "saw [redacted] in the log"


# --- retry ----------------------------------------------------------------------------------------


def test_retry__queues_a_run_that_follows(house: House, desk: Desk, agent: Agent) -> None:
    run_id = claimed(desk, house, agent, network_channel="night")
    assert agent.on(run_id, "fail", error="no line").status_code == 200
    body = expect("retryTaskRun", force(desk, run_id, "retry", metadata={"n": 2}))
    assert (body["previous_run"]["id"], body["previous_run"]["status"]) == (run_id, "failed")
    assert body["previous_run"]["error"] == "no line"
    run = body["run"]
    assert (run["status"], run["attempt"], run["previous_run_id"]) == ("queued", 2, run_id)
    assert (run["metadata"], run["network_channel"]) == ({"n": 2}, "night")
    assert run["origin"] == {"kind": "http", "ref": "tasks.retry"}
    assert agent.claimed()["run"]["id"] == run["id"]
    logged = entry("run_operator_retry")
    assert str(logged.run_id) == run_id
    assert logged.payload == {
        "manual": True,
        "actor": {"kind": "human", "ref": desk.caller.principal.text},
        "status": "failed",
        "task_status": "ready",
        "source_run_id": run_id,
        "new_run_id": run["id"],
    }


def test_retry__of_a_run_that_was_repeated_is_refused(house: House, desk: Desk) -> None:
    run_id = failed(desk, house)
    second = force(desk, run_id, "retry").json()["run"]["id"]
    refused(force(desk, run_id, "retry"), 409)
    force(desk, second, "fail", reason="again")
    with expect_unchanged():
        refused(force(desk, run_id, "retry"), 409)


def test_retry__beside_an_open_run_is_refused(house: House, desk: Desk) -> None:
    run_id = failed(desk, house)
    desk.started(wire_id(run_id))
    with expect_unchanged():
        refused(force(desk, run_id, "retry"), 409)


@pytest.mark.parametrize(
    "source", ["queued", "claimed", "running", "completed", "canceled", "needs_attention"]
)
def test_retry__of_another_status_is_refused(
    house: House, desk: Desk, agent: Agent, source: str
) -> None:
    run_id = in_status(desk, house, agent, source)
    with expect_unchanged():
        refused(force(desk, run_id, "retry"), 409, "task_run_still_active")


def test_retry__of_a_canceled_task_is_refused(house: House, desk: Desk) -> None:
    run_id = failed(desk, house)
    desk.post(f"/tasks/{wire_id(run_id)}/cancel")
    refused(force(desk, run_id, "retry"), 409)


def test_retry__of_a_long_chain_is_refused(house: House, desk: Desk) -> None:
    run_id = failed(desk, house, max_attempts=10)
    for _ in range(9):
        run_id = expect("retryTaskRun", force(desk, run_id, "retry"))["run"]["id"]
        force(desk, run_id, "fail", reason="again")
    with expect_unchanged():
        refused(force(desk, run_id, "retry"), 422, "retry_chain_too_deep")


# --- recover --------------------------------------------------------------------------------------


def test_recover__fails_the_run_and_queues_another(house: House, desk: Desk, agent: Agent) -> None:
    run_id = shelved(desk, house)
    assert agent.claim().status_code == 204
    refused(desk.post(f"/tasks/{wire_id(run_id)}/runs"), 409)
    answer = force(desk, run_id, "recover", reason="New agents.", metadata={"n": 3})
    body = expect("recoverTaskRun", answer)
    previous, run = body["previous_run"], body["run"]
    assert (previous["id"], previous["status"], previous["error"], previous["failure_kind"]) == (
        run_id,
        "failed",
        "New agents.",
        "operator_forced",
    )
    assert (run["status"], run["attempt"], run["previous_run_id"]) == ("queued", 2, run_id)
    assert run["metadata"] == {"n": 3}
    assert agent.claimed()["run"]["id"] == run["id"]
    assert entry("run_recovered_from_attention").payload == {
        "manual": True,
        "actor": {"kind": "human", "ref": desk.caller.principal.text},
        "status": "failed",
        "task_status": "ready",
        "previous_status": "needs_attention",
        "reason": "New agents.",
        "source_run_id": run_id,
        "new_run_id": run["id"],
    }


def test_recover__without_an_attempt_left_changes_nothing(house: House, desk: Desk) -> None:
    run_id = shelved(desk, house, max_attempts=1)
    with expect_unchanged():
        refused(force(desk, run_id, "recover"), 409)
    assert Run.objects.get(id=run_id).status == "needs_attention"
    assert status_of(desk, run_id) == "ready"


@pytest.mark.parametrize("source", ["queued", "claimed", "running", "completed", "failed"])
def test_recover__of_another_status_is_refused(
    house: House, desk: Desk, agent: Agent, source: str
) -> None:
    run_id = in_status(desk, house, agent, source)
    with expect_unchanged():
        body = refused(force(desk, run_id, "recover"), 409, "task_run_not_recoverable")
    assert ("Retry" in body["error"]) == (source == "failed")


def test_needs_attention__can_be_canceled(house: House, desk: Desk) -> None:
    run_id = shelved(desk, house)
    assert desk.post(f"/tasks/{wire_id(run_id)}/cancel").status_code == 200
    assert Run.objects.get(id=run_id).status == "canceled"


# --- several --------------------------------------------------------------------------------------


def test_bulk_release__answers_for_each_run(house: House, desk: Desk, agent: Agent) -> None:
    held, waits = claimed(desk, house, agent), queued(desk, house)
    answer = desk.post("/runs/bulk/release", run_ids=[waits, held, f" {waits} ", NO_ID, "x"])
    results = expect("bulkForceReleaseTaskRuns", answer)["results"]
    assert [(row["run_id"], row["ok"]) for row in results] == [
        (waits, False),
        (held, True),
        (NO_ID, False),
        ("x", False),
    ]
    assert results[0]["error"]["diagnostic"]["code"] == "task_run_not_releasable"
    assert results[1]["run"]["status"] == "queued"
    assert "diagnostic" not in results[2]["error"]
    assert "error" not in results[1]
    assert Run.objects.get(id=held).status == "queued"


def test_bulk_fail__answers_for_each_run(house: House, desk: Desk, agent: Agent) -> None:
    held, waits = claimed(desk, house, agent), queued(desk, house)
    answer = desk.post("/runs/bulk/fail", run_ids=[held, waits], reason="stuck")
    results = expect("bulkForceFailTaskRuns", answer)["results"]
    assert [row["run"]["error"] for row in results] == ["stuck", "stuck"]
    again = desk.post("/runs/bulk/fail", run_ids=[held], reason="stuck")
    (row,) = expect("bulkForceFailTaskRuns", again)["results"]
    assert row["error"]["diagnostic"]["code"] == "task_run_already_terminal"


def test_bulk_fail__needs_a_reason(house: House, desk: Desk) -> None:
    run_id = queued(desk, house)
    with expect_unchanged():
        answer = desk.post("/runs/bulk/fail", run_ids=[run_id])
        refused(answer, 422, "force_op_requires_reason")


@pytest.mark.parametrize("verb", ["release", "fail"])
def test_bulk__has_bounds(desk: Desk, verb: str) -> None:
    path = f"/runs/bulk/{verb}"
    refused(desk.post(path, run_ids=[NO_ID] * 51, reason="x"), 422, "bulk_too_large")
    for run_ids in ([], [NO_ID, " "], "x", [7], None):
        refused(desk.post(path, run_ids=run_ids, reason="x"), 422)
    answer = desk.post(path, run_ids=[NO_ID] * 50, reason="x")
    assert len(answer.json()["results"]) == 1


# --- agents ---------------------------------------------------------------------------------------


def test_force__by_a_session_names_it(house: House, desk: Desk, agent: Agent) -> None:
    run_id = claimed(desk, house, agent)
    expect("forceReleaseTaskRun", as_agent(desk, agent, f"/runs/{run_id}/release"))
    logged = entry("run_released")
    assert (logged.actor_kind, logged.actor_ref) == ("agent_session", "s-1")
    assert (logged.origin_kind, logged.origin_ref) == ("http", "tasks.force_release")


def test_force__by_sessions_can_be_forbidden(
    house: House, desk: Desk, agent: Agent, settings: LazySettings
) -> None:
    settings.AGENTS_MAY_FORCE = False
    run_id = claimed(desk, house, agent)
    with expect_unchanged():
        for verb in ("release", "fail", "retry", "recover"):
            # Before the body and the run are looked at.
            for path in (f"/runs/{run_id}/{verb}", f"/runs/{NO_ID}/{verb}"):
                answer = as_agent(desk, agent, path, metadata={"claim_token": "x"})
                refused(answer, 403, "forbidden_operator_action")
        for verb in ("release", "fail"):
            answer = as_agent(desk, agent, f"/runs/bulk/{verb}", run_ids=[run_id], reason="x")
            assert answer.status_code == 200
            (row,) = answer.json()["results"]
            assert row["error"]["diagnostic"]["code"] == "forbidden_operator_action"
    expect("forceReleaseTaskRun", force(desk, run_id, "release"))


def test_rate__of_a_session_is_by_task(house: House, desk: Desk, agent: Agent) -> None:
    run_id = queued(desk, house)
    path = f"/runs/{run_id}/release"
    for _ in range(10):
        refused(as_agent(desk, agent, path), 409, "task_run_not_releasable")
    answer = as_agent(desk, agent, path)
    body = refused(answer, 429, "force_op_rate_limited")
    assert body["diagnostic"]["severity"] == "warn"
    assert 1 <= int(answer["Retry-After"]) <= 60
    (row,) = as_agent(desk, agent, "/runs/bulk/release", run_ids=[run_id]).json()["results"]
    assert row["error"]["diagnostic"]["code"] == "force_op_rate_limited"
    # Neither another task, nor another session, nor a person.
    other = queued(desk, house)
    refused(as_agent(desk, agent, f"/runs/{other}/release"), 409, "task_run_not_releasable")
    second = desk.agent(house, "s-2")
    refused(as_agent(desk, second, path), 409, "task_run_not_releasable")
    refused(force(desk, run_id, "release"), 409, "task_run_not_releasable")


def test_rate__is_shared_with_pause_and_resume(house: House, desk: Desk, agent: Agent) -> None:
    run_id = queued(desk, house)
    path = f"/tasks/{wire_id(run_id)}"
    for _ in range(5):
        assert as_agent(desk, agent, f"{path}/pause", reason="x").status_code == 200
        assert as_agent(desk, agent, f"{path}/resume").status_code == 200
    for verb in ("pause", "resume"):
        answer = as_agent(desk, agent, f"{path}/{verb}", reason="x")
        refused(answer, 429, "force_op_rate_limited")
    refused(as_agent(desk, agent, f"/runs/{run_id}/release"), 429, "force_op_rate_limited")
    assert desk.post(f"{path}/pause", reason="x").status_code == 200


def test_rate__begins_anew_after_a_minute(house: House, desk: Desk, agent: Agent) -> None:
    run_id = queued(desk, house)
    path = f"/runs/{run_id}/release"
    for _ in range(11):
        answer = as_agent(desk, agent, path)
    assert answer.status_code == 429
    ForceWindow.objects.update(began_at=clock.now() - timedelta(seconds=61))
    refused(as_agent(desk, agent, path), 409, "task_run_not_releasable")
    assert ForceWindow.objects.get().calls == 1
    assert delete_force_windows() == 0
    ForceWindow.objects.update(began_at=clock.now() - timedelta(seconds=61))
    assert delete_force_windows() == 1


def test_rate__does_not_count_what_was_not_understood(
    house: House, desk: Desk, agent: Agent
) -> None:
    run_id = queued(desk, house)
    refused(as_agent(desk, agent, f"/runs/{run_id}/fail"), 422, "force_op_requires_reason")
    refused(as_agent(desk, agent, f"/runs/{NO_ID}/release"), 404)
    refused(
        as_agent(desk, agent, f"/tasks/{wire_id(run_id)}/pause"), 422, "force_op_requires_reason"
    )
    assert not ForceWindow.objects.exists()


# --- who may --------------------------------------------------------------------------------------

VERBS = ["release", "fail", "retry", "recover"]


@pytest.mark.parametrize("verb", VERBS)
def test_call__about_nothing_is_404(house: House, desk: Desk, stranger: Desk, verb: str) -> None:
    run_id = queued(desk, house)
    with expect_unchanged():
        for caller, named in ((desk, NO_ID), (desk, "run-7"), (stranger, run_id)):
            refused(force(caller, named, verb, reason="x"), 404)


@pytest.mark.parametrize("verb", VERBS)
def test_call__about_a_pool_that_is_not_granted_is_404(house: House, desk: Desk, verb: str) -> None:
    run_id = desk.started(desk.task()["id"])["id"]
    limited = desk_of(house, pool_ids=[house.pool.id])
    with expect_unchanged():
        refused(force(limited, run_id, verb, reason="x"), 404)


@pytest.mark.parametrize("verb", VERBS)
def test_call__about_a_task_of_another_api_is_409(house: House, desk: Desk, verb: str) -> None:
    run_id = str(house.accepted().id)
    with expect_unchanged():
        refused(force(desk, run_id, verb, reason="x"), 409)


@pytest.mark.parametrize(
    "path", [*(f"{NO_ID}/{verb}" for verb in VERBS), "bulk/release", "bulk/fail"]
)
def test_call__needs_its_scope(house: House, path: str) -> None:
    others = [one for one in Scope if one not in (Scope.TASKS_MANAGE, Scope.WORK)]
    body = {"run_ids": [NO_ID], "reason": "x"}
    refused(desk_of(house, scopes=others).post(f"/runs/{path}", **body), 403)
    refused(Desk(Caller("nonsense")).post(f"/runs/{path}", **body), 401)


@pytest.mark.parametrize("verb", VERBS)
def test_call__refuses_its_metadata(house: House, desk: Desk, verb: str) -> None:
    run_id = queued(desk, house)
    with expect_unchanged():
        for metadata in ({"a": [{"Claim_Token": "x"}]}, {"a": "\x00"}):
            refused(force(desk, run_id, verb, reason="x", metadata=metadata), 422)
        refused(force(desk, run_id, verb, reason="x", metadata="x" * 17_000), 413)


@pytest.mark.parametrize("verb", VERBS)
def test_call__refuses_what_is_no_object(house: House, desk: Desk, verb: str) -> None:
    refused(desk.caller.post(f"/api/runs/{NO_ID}/{verb}", [1]), 422)
