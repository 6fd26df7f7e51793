"""An agent's task from its claim to the last webhook, with a person's review in between."""

import json
from datetime import timedelta
from typing import Any

from apps.accounts.models import ApiKey
from apps.accounts.scopes import Role, Scope
from apps.agents.models import AgentClaim
from apps.base import clock
from apps.reviews.models import Review
from apps.reviews.services import verify_submitted
from apps.tasks.models import Run, Task
from apps.tasks.services import queue_created
from apps.teams.models import Team
from apps.teams.services.windows import open_window
from apps.timers.services import fire_due
from apps.webhooks.services import deliver_due
from biolayer import chain
from tests.agent_steps import agent_of, for_pool, operator, registered
from tests.api.expect import expect_problem, expect_unchanged
from tests.api.oauth_steps import created
from tests.api.test_oauth import ask_token
from tests.factories import OUTPUT, Caller, House, member_of, worker_in
from tests.receiver import Receiver
from tests.review_steps import reviewer, set_policy
from tests.rollup_steps import assert_boards_are_true
from tests.team_steps import API, member_with, team_of


def posted(receiver: Receiver) -> list[dict[str, Any]]:
    deliver_due()
    bodies = [json.loads(request.body) for request in receiver.received]
    return sorted(bodies, key=lambda body: body["data"]["sequence"])


def test_claim_heartbeat_complete_review_approve_webhook(house: House, receiver: Receiver) -> None:
    set_policy(house.pool)
    task = for_pool(house, handoff={"callback_url": f"{receiver.url}/hook"})
    agent, rita = agent_of(house), reviewer(house)
    run_id = agent.claimed(lease_seconds=60)["run"]["id"]
    assert agent.on(run_id, "heartbeat", lease_seconds=120).status_code == 200
    lease = agent.on(run_id, "complete", result=OUTPUT).json()["lease"]
    # The run is finished; its output waits for a person.
    assert lease["status"] == "completed"
    assert house.alice.get(f"/v1/tasks/{task.id}").json()["output"] is None
    assert [body["type"] for body in posted(receiver)][-1] == "task.submitted"
    (review,) = rita.get("/v1/reviews?lane=waiting").json()["data"]
    verdict = {"version": review["version"], "verdict": "approve"}
    path = f"/v1/reviews/{review['review_id']}/verdict"
    assert rita.post(path, verdict).status_code == 200
    assert verify_submitted() == 1
    bodies = posted(receiver)
    assert [body["type"].removeprefix("task.") for body in bodies] == (
        ["created", "queued", "accepted", "started", "submitted", "verified", "completed"]
    )
    assert [body["data"].get("output") for body in bodies] == [None] * 5 + [OUTPUT] * 2
    log = house.alice.get(f"/v1/tasks/{task.id}/events").json()["data"]
    assert chain.first_broken(log) is None
    # What operators see of it, and what backends read, is right without an offer.
    assert_boards_are_true()
    assert house.alice.get(f"/v1/tasks/{task.id}/match").status_code == 200


def test_review__not_by_the_credential_that_completed_it(house: House) -> None:
    set_policy(house.pool)
    for_pool(house)
    scopes = [Scope.POOLS_MANAGE, Scope.TASKS_REVIEW]
    operator_ = operator(house, role=Role.MANAGER, scopes=scopes)
    agent = registered(operator_, workspace_id=str(house.pool.id))
    agent.on(agent.claimed()["run"]["id"], "complete", result=OUTPUT)
    review = Review.objects.get()
    path, verdict = f"/v1/reviews/{review.id}/verdict", {"version": 1, "verdict": "approve"}
    refused = operator_.post(path, verdict)
    assert (refused.status_code, refused.json()["code"]) == (403, "own_work")
    assert reviewer(house).post(path, verdict).status_code == 200


def verdict_by(caller: Caller) -> Any:
    path = f"/v1/reviews/{Review.objects.get().id}/verdict"
    return caller.post(path, {"version": 1, "verdict": "approve"})


def made(caller: Caller, **more: Any) -> Caller:
    """Return a key that reviews, and makes keys, made by a key."""
    document = {"name": "Made", "role": "manager", "scopes": [*map(str, MAKES)], **more}
    answer = caller.post("/v1/api-keys", document)
    assert answer.status_code == 201, answer.content
    return Caller(answer.json()["api_key"])


MAKES = (Scope.TASKS_REVIEW, Scope.CREDENTIALS_MANAGE, Scope.POOLS_MANAGE)


def test_review__not_by_a_key_that_the_credential_made(house: House) -> None:
    set_policy(house.pool)
    for_pool(house)
    admin = operator(house, role=Role.ADMIN, scopes=[*MAKES])
    proposing = made(admin, role="admin")
    agent = registered(proposing, workspace_id=str(house.pool.id))
    agent.on(agent.claimed()["run"]["id"], "complete", result=OUTPUT)
    child = made(proposing, role="admin")
    grandchild = made(child)
    for caller in proposing, child, grandchild:
        with expect_unchanged():
            expect_problem(verdict_by(caller), 403, "own_work")
    # Who made the proposing key, and another key of theirs, have not proposed.
    assert verdict_by(made(admin)).status_code == 200


def application_of(caller: Caller) -> Caller:
    """Return an OAuth application that reviews, and makes keys, made by a key."""
    application = created(
        caller,
        grant_types=["client_credentials"],
        redirect_uris=[],
        role="admin",
        scopes=[*map(str, MAKES)],
    )
    scopes = " ".join(map(str, MAKES))
    answer = ask_token(application["client_id"], application["client_secret"], scopes)
    return Caller(answer.json()["access_token"])


def test_review__not_by_an_application_that_the_credential_made(house: House) -> None:
    set_policy(house.pool)
    for_pool(house)
    admin = operator(house, role=Role.ADMIN, scopes=[*MAKES])
    proposing = made(admin, role="admin")
    agent = registered(proposing, workspace_id=str(house.pool.id))
    agent.on(agent.claimed()["run"]["id"], "complete", result=OUTPUT)
    application = application_of(proposing)
    for caller in application, made(application), application_of(made(proposing, role="admin")):
        with expect_unchanged():
            expect_problem(verdict_by(caller), 403, "own_work")
    assert verdict_by(application_of(admin)).status_code == 200


def test_review__not_by_a_key_by_way_of_the_key_of_a_worker(house: House) -> None:
    set_policy(house.pool)
    for_pool(house)
    proposing = operator(house, role=Role.ADMIN, scopes=[*MAKES])
    agent = registered(proposing, workspace_id=str(house.pool.id))
    agent.on(agent.claimed()["run"]["id"], "complete", result=OUTPUT)
    worker, _ = worker_in(house.pool, name="Ann")
    of_worker = made(proposing, role="admin")
    ApiKey.objects.filter(id=of_worker.principal.key_id).update(worker_id=worker.id)
    last = made(of_worker)
    assert ApiKey.objects.get(id=last.principal.key_id).created_by == f"worker:{worker.id}"
    with expect_unchanged():
        expect_problem(verdict_by(of_worker), 403, "own_work")
        expect_problem(verdict_by(last), 403, "own_work")
    assert verdict_by(reviewer(house)).status_code == 200


def test_review__not_by_a_key_of_the_member_who_proposed(house: House) -> None:
    set_policy(house.pool)
    for_pool(house)
    agent = agent_of(house)
    agent.on(agent.claimed()["run"]["id"], "complete", result=OUTPUT)
    mia = member_of(house.organisation, "mia@northwind.example", role=Role.ADMIN)
    client = f"oauth_member:{mia.id}:client"
    AgentClaim.objects.update(completed_by=client, completed_by_member=mia.id)
    for created_by in f"member:{mia.id}", f"oauth_member:{mia.id}:another", client:
        own = reviewer(house, "Own")
        ApiKey.objects.filter(id=own.principal.key_id).update(created_by=created_by)
        with expect_unchanged():
            expect_problem(verdict_by(own), 403, "own_work")
    assert verdict_by(reviewer(house)).status_code == 200


def test_rework__the_next_claim_knows_why_and_the_last_one_fails_the_task(house: House) -> None:
    set_policy(house.pool)
    task = for_pool(house)
    agent, rita = agent_of(house), reviewer(house)
    for attempt in 1, 2, 3:
        run = agent.claimed()["run"]
        assert run["attempt"] == attempt
        known = run["metadata"].get("sent_back")
        if attempt == 1:
            assert known is None
        else:
            assert (known["reason"], known["attempt"]) == (f"no {attempt - 1}", attempt - 1)
            assert known["output"]["notes"] == f"try {attempt - 1}"
        agent.on(run["id"], "complete", result={**OUTPUT, "notes": f"try {attempt}"})
        review = Review.objects.get(status="waiting")
        verdict = {"version": 1, "verdict": "rework", "reason": f"no {attempt}"}
        assert rita.post(f"/v1/reviews/{review.id}/verdict", verdict).status_code == 200
    task.refresh_from_db()
    assert (task.status, task.close_reason) == ("failed", "attempts_exhausted")
    assert agent.claim().status_code == 204


def test_process_that_dies__its_run_goes_to_another_session(house: House) -> None:
    """A process that is killed makes no call: the lease's timer gives the run back."""
    for_pool(house)
    run_id = agent_of(house).claimed(lease_seconds=60)["run"]["id"]
    assert fire_due(at=clock.now() + timedelta(seconds=59)) == 0
    assert agent_of(house, "s-2").claim().status_code == 204
    assert fire_due(at=clock.now() + timedelta(seconds=61)) == 1
    again = agent_of(house, "s-3").claimed()["run"]
    assert (again["id"], again["attempt"]) == (run_id, 1)
    assert Run.objects.get(id=run_id).epoch == 2
    assert Task.objects.get().status == "accepted"


def test_a_teams_agent_proposes_and_a_manager_decides(house: House) -> None:
    """The whole story through the two APIs: window, claim, rejection, next attempt, approval."""
    team = team_of(house, approval_policy={"required_role": "MANAGER"})
    manager, viewer = (member_with(house.organisation, r) for r in (Role.MANAGER, Role.VIEWER))
    task = {"team_id": str(team.pool_id), "title": "Draft restock PO", "requires_approval": True}
    task_id = manager.post(f"{API}/tasks", task).json()["id"]
    assert queue_created() == 1
    agent = agent_of(house, workspace_id=str(team.pool_id))
    assert agent.claim().status_code == 204

    def propose(quantity: int) -> Any:
        at = clock.now()
        Team.objects.update(next_window_at=at)
        open_window(team_id=team.pool_id, at=at)
        run = agent.claimed()["run"]
        done = agent.on(run["id"], "complete", result={"po_quantity": quantity})
        assert done.json()["lease"]["status"] == "completed"
        assert manager.get(f"{API}/tasks/{task_id}").json()["status"] == "proposed"
        return run

    assert "sent_back" not in propose(1)["metadata"]
    assert viewer.post(f"{API}/tasks/{task_id}/approve").status_code == 403
    rejected = manager.post(f"{API}/tasks/{task_id}/reject", {"reason": "Too few."})
    assert rejected.json()["status"] == "pending"
    # It waits for the next window, and the agent then knows why.
    assert agent.claim().status_code == 204
    sent_back = propose(2)["metadata"]["sent_back"]
    assert (sent_back["reason"], sent_back["output"]) == ("Too few.", {"po_quantity": 1})
    assert manager.post(f"{API}/tasks/{task_id}/approve").status_code == 200
    verify_submitted()
    shown = manager.get(f"{API}/tasks/{task_id}").json()
    assert (shown["status"], shown["proposed_output"]) == ("completed", {"po_quantity": 2})
