"""Every answer of the operations that agents call, compared with the published contract."""

from typing import Any

import pytest
from django.urls import get_resolver

from apps.api.operations.document import openapi, operations
from apps.events.models import Event
from apps.reviews.models import Review
from tests.agent_steps import Agent, agent_of, for_pool, operator, registered
from tests.api.agh_contract import CONTRACT, OF_AGENTS, OPERATIONS, answer_faults, error_faults
from tests.factories import NO_ID, OUTPUT, House
from tests.review_steps import decide, reviewer, set_policy


def expect(operation_id: str, response: Any) -> Any:
    published = OPERATIONS[operation_id]
    assert response.status_code == published["success_status"], response.content
    assert response["Content-Type"] == "application/json"
    body = response.json()
    assert answer_faults(operation_id, body) == []
    return body


def expect_error(response: Any, operation_id: str, status: int, code: str | None = None) -> Any:
    """Assert that a refusal is one of the contract, and return its body."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    listed = OPERATIONS[operation_id]["error_statuses"]
    assert status in {*listed, 401, 403, 408, 413, 429, 500}
    body = response.json()
    assert error_faults(body) == []
    assert body.get("diagnostic", {}).get("code") == code
    return body


def test_published_operations__have_their_routes() -> None:
    described = {one.name: f"/api/{one.route}" for one in operations()}
    for name, published in OF_AGENTS.items():
        route = published["path"].replace("{run_id}", "<str:run_id>")
        assert described[name] == route
        assert get_resolver("config.urls").resolve(published["path"].format(run_id=NO_ID))


def test_claim__of_a_workspace(house: House) -> None:
    task = for_pool(house, sla={"urgency": "critical"})
    body = expect("claimNextAgentTask", agent_of(house).claim())
    claim, run_id = body["claim"], body["claim"]["run"]["id"]
    assert claim["task"] == {
        "id": str(task.id),
        "title": task.title,
        "scope": "workspace",
        "status": "ready",
        "latest_event_seq": Event.objects.filter(task_id=task.id, sequence=3).get().id,
        "priority": "urgent",
        "workspace_id": str(house.pool.id),
    }
    channel = claim["coordination_channel"]
    assert (channel["id"], channel["run_id"]) == (f"coord-{run_id}", run_id)
    assert channel["allowed_message_kinds"] == CONTRACT["enums"]["coordination_message_kind"]
    assert claim["run"]["coordination_channel"] == claim["lease"]["coordination_channel"] == channel
    for part in claim["run"], claim["lease"]:
        assert part["claimed_by"] == {"kind": "agent_session", "ref": "s-1"}
        assert part["status"] == "claimed"
        assert part["claim_token_hash"].startswith("sha256:")
        assert len(part["claim_token_hash"]) == len("sha256:") + 64
    assert claim["run"]["metadata"]["work"]["instructions"] == task.instructions


def test_claim__of_a_global_task_has_no_channel(house: House) -> None:
    house.queued()
    agent = registered(operator(house))
    claim = expect("claimNextAgentTask", agent.claim())["claim"]
    assert claim["task"]["scope"] == "global"
    assert not {"coordination_channel", "workspace_id"} & {*claim, *claim["task"], *claim["run"]}


def test_claim__after_a_rejection_has_what_was_refused(house: House) -> None:
    set_policy(house.pool)
    for_pool(house)
    agent = agent_of(house)
    agent.on(agent.claimed()["run"]["id"], "complete", result=OUTPUT)
    review = Review.objects.select_related("task", "run").get()
    decide(reviewer(house).principal, review, "rework", pointers=["/notes"])
    run = expect("claimNextAgentTask", agent.claim())["claim"]["run"]
    assert run["attempt"] == 2
    assert run["metadata"]["sent_back"] == {
        "verdict": "rework",
        "reason": "Call again, and ask for the ticket.",
        "pointers": ["/notes"],
        "attempt": 1,
        "output": OUTPUT,
    }


@pytest.mark.parametrize(
    ("operation_id", "verb", "body"),
    [
        ("heartbeatAgentTaskRun", "heartbeat", {"lease_seconds": 60}),
        ("completeAgentTaskRun", "complete", {"result": OUTPUT}),
        ("failAgentTaskRun", "fail", {"error": "no line", "metadata": {"tries": 3}}),
        ("releaseAgentTaskRun", "release", {"reason": "shutdown"}),
    ],
)
def test_lease_call(house: House, operation_id: str, verb: str, body: Any) -> None:
    task = for_pool(house)
    agent = agent_of(house)
    run_id = agent.claimed()["run"]["id"]
    lease = expect(operation_id, agent.on(run_id, verb, **body))["lease"]
    status = {"heartbeat": "claimed", "complete": "completed", "fail": "failed"}
    assert lease["status"] == status.get(verb, "queued")
    assert (lease["run_id"], lease["task_id"]) == (run_id, str(task.id))
    holder = {"claimed_by", "claim_token_hash", "session_id"} & lease.keys()
    assert len(holder) == (0 if verb == "release" else 3)
    timed = {"lease_until", "heartbeat_at"} & lease.keys()
    assert len(timed) == (2 if verb == "heartbeat" else 0)
    assert "coordination_channel" not in lease


VERBS = {
    "heartbeat": "heartbeatAgentTaskRun",
    "complete": "completeAgentTaskRun",
    "fail": "failAgentTaskRun",
    "release": "releaseAgentTaskRun",
}


@pytest.mark.parametrize("verb", VERBS)
def test_errors_of_a_lease_call(house: House, verb: str) -> None:
    for_pool(house)
    for_pool(house)
    agent, other = agent_of(house), agent_of(house, "s-2")
    body = {"error": "no line", "result": OUTPUT}
    run_id = agent.claimed()["run"]["id"]
    operation_id = VERBS[verb]

    def refused(caller: Agent, of: str, status: int, code: str | None = None) -> str:
        answer = caller.on(of, verb, **body)
        return str(expect_error(answer, operation_id, status, code)["error"])

    refused(agent, NO_ID, 404)
    refused(agent, "run-7", 404)
    refused(other, run_id, 409, "autonomy_no_active_lease")
    other_run = other.claimed()["run"]["id"]
    text = refused(other, run_id, 403, "autonomy_foreign_run")
    assert text.startswith("AUTONOMY_FOREIGN_RUN")
    agent.on(run_id, "release")
    refused(agent, run_id, 409, "autonomy_lease_expired")
    other.on(other_run, "complete", result=OUTPUT)
    refused(other, other_run, 409, "autonomy_lease_expired")


def test_document__is_served(house: House) -> None:
    answer = house.alice.client.get("/api/openapi.json")
    assert answer.json() == openapi()
    paths = answer.json()["paths"]
    for published in OF_AGENTS.values():
        described = paths[published["path"]]["post"]
        listed = {str(status) for status in published["error_statuses"]}
        assert listed <= described["responses"].keys()
        assert described["operationId"] == published["operation_id"]
