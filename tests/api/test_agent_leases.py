"""Calls on what a session holds: renew, complete, fail, release; late calls change nothing."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F

from apps.agents.models import AgentClaim
from apps.base import clock
from apps.tasks.models import Run, Task
from apps.timers.services import fire_due
from biolayer.lifecycle import EventType, Status
from tests.agent_steps import Agent, agent_of, agent_worker, for_pool, registered
from tests.api.expect import expect_unchanged
from tests.concurrency.together import together
from tests.factories import OUTPUT, Caller, House, contract
from tests.probes import verify_transition

VERBS = ("heartbeat", "complete", "fail", "release")
BODY = {"result": OUTPUT, "error": "no line"}


def code(answer: Any, status: int) -> str | None:
    assert answer.status_code == status, answer.content
    found: str | None = answer.json().get("diagnostic", {}).get("code")
    return found


def holding(house: House, **changes: Any) -> tuple[Agent, str]:
    """Return an agent and the run that it has claimed."""
    for_pool(house, **changes)
    agent = agent_of(house)
    return agent, agent.claimed()["run"]["id"]


def lapse(run_id: str) -> None:
    """End the lease of a run, as its timer does."""
    at = clock.now() + timedelta(seconds=301)
    assert fire_due(at=at) >= 1
    assert Run.objects.get(id=run_id).status == "queued"


# --- what they do ---------------------------------------------------------------------------------


def test_heartbeat__lets_the_lease_last_from_now(house: House) -> None:
    agent, run_id = holding(house)
    for seconds in 600, 30:
        agent.on(run_id, "heartbeat", lease_seconds=seconds)
        run = Run.objects.get(id=run_id)
        assert run.lease_until is not None
        assert run.heartbeat_at is not None
        assert run.lease_until - run.heartbeat_at == timedelta(seconds=seconds)
        assert run.status == "claimed"
    agent.on(run_id, "heartbeat")
    run.refresh_from_db()
    assert run.lease_seconds == 300


def test_complete__starts_and_submits_in_one_transaction(house: House) -> None:
    agent, run_id = holding(house)
    agent.on(run_id, "complete", result=OUTPUT)
    run = Run.objects.select_related("task").get(id=run_id)
    assert (run.status, run.output, run.task.status) == ("completed", OUTPUT, "submitted")
    assert run.started_at is not None
    claim = AgentClaim.objects.get()
    assert (claim.end, claim.ended_at) == ("completed", run.ended_at)


def test_complete__refused_by_the_tasks_schema(house: House) -> None:
    agent, run_id = holding(house)
    with expect_unchanged():
        answer = agent.on(run_id, "complete", result={"reached_user": "yes"})
        assert code(answer, 422) is None
        assert "reached_user" in answer.json()["error"]
        assert code(agent.on(run_id, "complete"), 422) is None
    assert agent.on(run_id, "complete", result=OUTPUT).status_code == 200


def test_complete__refused_without_the_files_that_the_task_requires(house: House) -> None:
    needs = {**contract()["output"], "evidence_required": True}
    agent, run_id = holding(house, output=needs)
    with expect_unchanged():
        assert code(agent.on(run_id, "complete", result=OUTPUT), 422) is None


def test_complete__refused_with_a_result_that_is_too_large(house: House) -> None:
    agent, run_id = holding(house)
    result = {**OUTPUT, "notes": "x" * 65_536}
    with expect_unchanged():
        assert code(agent.on(run_id, "complete", result=result), 413) is None


@pytest.mark.parametrize(
    "result",
    [{"claim_token": 1}, {"a": [{"b": {"Claim_Token": ""}}]}, [[{" CLAIM_TOKEN": None}]]],
)
def test_claim_token__is_refused_at_any_depth(house: House, result: Any) -> None:
    agent, run_id = holding(house)
    with expect_unchanged():
        assert code(agent.on(run_id, "complete", result=result), 422) is None
        assert code(agent.on(run_id, "fail", error="x", metadata=result), 422) is None
    with_nul = {"notes": "a\0b"}
    assert code(agent.on(run_id, "fail", error="x", metadata=with_nul), 422) is None


def test_fail__queues_the_next_attempt_until_none_is_left(house: House) -> None:
    agent, run_id = holding(house)
    for attempt in 1, 2, 3:
        assert Run.objects.get(id=run_id).attempt == attempt
        agent.on(run_id, "fail", error=" no line agh_claim_abc-1 ", metadata={"tries": attempt})
        run = Run.objects.select_related("task").get(id=run_id)
        assert (run.status, run.error) == ("failed", "no line [redacted]")
        if attempt < 3:
            run_id = agent.claimed()["run"]["id"]
    assert run.task.status == "failed"
    stored = AgentClaim.objects.order_by("id").values_list("failure_metadata", flat=True)
    assert [one["tries"] for one in stored] == [1, 2, 3]


@pytest.mark.parametrize("error", ["", "   ", None, 7])
def test_fail__needs_an_error(house: House, error: Any) -> None:
    agent, run_id = holding(house)
    with expect_unchanged():
        assert code(agent.on(run_id, "fail", error=error), 422) is None


@pytest.mark.parametrize("seconds", [-1, 86_401, 1.5, "60"])
def test_heartbeat__refused_where_invalid(house: House, seconds: Any) -> None:
    agent, run_id = holding(house)
    with expect_unchanged():
        assert code(agent.on(run_id, "heartbeat", lease_seconds=seconds), 422) is None


def test_release__queues_the_run_again_with_its_reason(house: House) -> None:
    agent, run_id = holding(house)
    task = Task.objects.get()
    verify_transition(
        task.id,
        lambda: agent.on(run_id, "release", reason="shutdown"),
        event=EventType.QUEUED,
        to=Status.QUEUED,
    )
    assert Run.objects.get(id=run_id).worker_id is None


# --- late calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_late_call__after_the_lease_ended(house: House, verb: str) -> None:
    agent, run_id = holding(house)
    Run.objects.filter(id=run_id).update(lease_until=F("claimed_at"))
    with expect_unchanged():
        assert code(agent.on(run_id, verb, **BODY), 409) == "autonomy_lease_expired"


@pytest.mark.parametrize("verb", VERBS)
def test_late_call__after_the_run_lapsed_and_went_to_another(house: House, verb: str) -> None:
    agent, run_id = holding(house)
    lapse(run_id)
    other = agent_of(house, "s-2", name="checker")
    assert other.claimed()["run"]["id"] == run_id
    with expect_unchanged():
        assert code(agent.on(run_id, verb, **BODY), 409) == "autonomy_lease_expired"
    assert other.on(run_id, "complete", result=OUTPUT).status_code == 200


def test_late_call__after_another_session_of_the_same_agent_has_the_run(house: House) -> None:
    """Both are one worker: the epoch of the claim tells them apart."""
    agent, run_id = holding(house)
    lapse(run_id)
    second = agent_of(house, "s-2")
    second.claimed()
    with expect_unchanged():
        answer = agent.on(run_id, "complete", result=OUTPUT)
        assert code(answer, 409) == "autonomy_lease_expired"


def test_late_call__of_v1_is_refused_by_the_epoch(house: House) -> None:
    worker, caller = agent_worker(house.pool)
    for_pool(house)
    agent = registered(caller, workspace_id=str(house.pool.id))
    run_id = agent.claimed()["run"]["id"]
    lapse(run_id)
    agent_of(house, "s-2", name="checker").claimed()
    late = {"epoch": 1, "output": OUTPUT}
    with expect_unchanged():
        answer = caller.post(f"/v1/runs/{run_id}/submit", late)
        assert answer.json()["code"] == "lease_lost"
    assert worker.id


def test_submission_by_v1__ends_the_claim(house: House) -> None:
    _, caller = agent_worker(house.pool)
    for_pool(house)
    for_pool(house)
    agent = registered(caller, workspace_id=str(house.pool.id))
    run_id = agent.claimed()["run"]["id"]
    caller.post(f"/v1/runs/{run_id}/start", {"epoch": 1})
    caller.post(f"/v1/runs/{run_id}/submit", {"epoch": 1, "output": OUTPUT})
    assert code(agent.on(run_id, "complete", result=OUTPUT), 409) == "autonomy_lease_expired"
    assert agent.claimed()["run"]["id"] != run_id


def test_cancelled_task__is_lost_to_its_session(house: House) -> None:
    agent, run_id = holding(house)
    task = Task.objects.get()
    assert house.alice.post(f"/v1/tasks/{task.id}/cancel", {"reason": "x"}).status_code == 200
    assert code(agent.on(run_id, "complete", result=OUTPUT), 409) == "autonomy_lease_expired"
    assert agent.claim().status_code == 204


def test_run_of_another_organisation__is_404(house: House) -> None:
    _, run_id = holding(house)
    stranger = House.build()
    agent = agent_of(stranger, "s-1")
    for verb in VERBS:
        with expect_unchanged():
            assert code(agent.on(run_id, verb, **BODY), 404) is None


def test_two_calls_at_once__one_counts(house: House) -> None:
    agent, run_id = holding(house)
    answers = together(
        lambda: agent_again(agent).on(run_id, "complete", result=OUTPUT),
        lambda: agent_again(agent).on(run_id, "release"),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]


def agent_again(agent: Agent) -> Agent:
    """Return the same session, with a client of its own."""
    return Agent(Caller(agent.caller.key), agent.session_id, agent.name)


def test_lookup__that_fails_is_503(house: House) -> None:
    agent, run_id = holding(house)

    def call() -> Any:
        return agent_again(agent).on(run_id, "heartbeat")

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE agents_agentsession IN ACCESS EXCLUSIVE MODE")
        (answer,) = together(call)
    assert code(answer, 503) == "identity_lookup_unavailable"
    assert answer["Retry-After"] == "1"
