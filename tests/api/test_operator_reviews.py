"""Final runs are reviewed: asked for, routed to sessions, answered, ended at their deadlines."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.scopes import Role, Scope
from apps.agents.models import REVIEW_EXECUTOR, AgentSession
from apps.agents.services import find_stranded_reviews, move_reviews, stop_silent_sessions
from apps.base import clock
from apps.operations.models import RunDetails, RunReview, TaskDetails
from apps.operations.services import erase_run_review_words, purge_details
from apps.pools.models import Pool
from apps.reviews.models import Review
from apps.tasks.models import Run
from apps.timers.models import Timer
from tests.agent_steps import SESSIONS, Agent, agent_worker, registered
from tests.api.expect import expect_unchanged
from tests.api.operator_expect import expect, logged, refused, strangers_desk
from tests.factories import NO_ID, Caller, House
from tests.operator_steps import Desk, desk_of
from tests.review_steps import in_review, reviewer, set_policy

NO_TIME = "0001-01-01T00:00:00Z"
REJECTED = {"outcome": "rejected", "missing_work": ["Name the order."]}


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


def completed(desk: Desk, agent: Agent, **fields: Any) -> tuple[str, str]:
    """Return a task and its run, which the session has completed."""
    task_id = desk.task(**fields)["id"]
    return task_id, done(desk, agent, task_id)


def done(desk: Desk, agent: Agent, task_id: str) -> str:
    """Return a new run of a task, which the session has completed."""
    desk.started(task_id)
    return finish(agent)


def finish(agent: Agent, verb: str = "complete", **body: Any) -> str:
    """Return the next run, which the session has claimed and finished."""
    run_id: str = agent.claimed()["run"]["id"]
    if verb == "complete":
        body.setdefault("result", {"reply": "Yes"})
    answer = agent.on(run_id, verb, **body)
    assert answer.status_code == 200, answer.content
    return run_id


def ask(desk: Desk, run_id: str, /, **body: Any) -> Any:
    return desk.post(f"/task-runs/{run_id}/reviews", **body)


def asked(desk: Desk, run_id: str, /, **body: Any) -> dict[str, Any]:
    """Return a new review."""
    answer = expect("requestTaskRunReview", ask(desk, run_id, **body), 201)
    assert answer["created"] is True
    review: dict[str, Any] = answer["review"]
    return review


def verdict_of(**said: Any) -> dict[str, Any]:
    known = {"outcome": "approved", "confidence": 0.9, "reason": "Fine", "delivery_id": "d-1"}
    return {**known, **said}


def say(desk: Desk, review: dict[str, Any], **said: Any) -> Any:
    body = {"run_id": review["run_id"], "verdict": verdict_of(**said)}
    return desk.post(f"/task-reviews/{review['review_id']}/verdict", **body)


def said(desk: Desk, review: dict[str, Any], **words: Any) -> dict[str, Any]:
    answer: dict[str, Any] = expect("submitTaskRunReviewVerdict", say(desk, review, **words))
    return answer


def as_agent(agent: Agent, path: str, body: Any) -> Any:
    identity = {"X-AGH-Session-ID": agent.session_id, "X-AGH-Agent": agent.name}
    return agent.caller.post(f"/api{path}", body, **identity)


def agent_says(agent: Agent, review: dict[str, Any], **words: Any) -> Any:
    body = {"run_id": review["run_id"], "verdict": verdict_of(**words)}
    return as_agent(agent, f"/task-reviews/{review['review_id']}/verdict", body)


def shown(desk: Desk, review: dict[str, Any]) -> dict[str, Any]:
    answer = desk.get(f"/task-reviews/{review['review_id']}")
    found: dict[str, Any] = expect("getTaskRunReview", answer)["review"]
    return found


def status_of(desk: Desk, task_id: str) -> str:
    tasks = desk.get("/tasks").json()["tasks"]
    (status,) = [str(task["status"]) for task in tasks if task["id"] == task_id]
    return status


def circuit_of(task_id: str) -> str:
    """Return why a task's circuit is open; empty: it is closed."""
    details = TaskDetails.objects.get(wire_id=task_id)
    assert (details.circuit_opened_at is not None) == bool(details.circuit_reason)
    return details.circuit_reason


def reviewers(desk: Desk, *names: str, **more: Any) -> list[Agent]:
    """Return a session of each agent, whose id is its name."""
    return [desk.agent(session_id=name, name=name, **more) for name in names]


def restrict(desk: Desk, task_id: str, **review: Any) -> None:
    answer = desk.put(f"/tasks/{task_id}/execution-profile", review=review)
    assert answer.status_code == 200, answer.content


# --- ask ------------------------------------------------------------------------------------------


def test_request__is_stored_and_routed(desk: Desk) -> None:
    task_id, run_id = completed(desk, desk.agent())
    reviewers(desk, "editor")
    review = asked(desk, run_id, reason="First reply")
    # Its deadline is in its own queue.
    assert Timer.objects.filter(subject_id=review.pop("review_id")).count() == 0
    times = {name: review.pop(name) for name in [*review] if name.endswith("_at")}
    assert review == {
        "run_id": run_id,
        "task_id": task_id,
        "status": "in_review",
        "policy": "always",
        "review_round": 1,
        "attempt": 1,
        "reason": "First reply",
        "reviewer_session_id": "editor",
        "reviewer_agent_name": "editor",
        "reviewer_peer_id": "editor.editor",
    }
    assert times.pop("reviewed_at") == NO_TIME
    assert NO_TIME not in times.values()
    row = Review.of_runs.get()
    assert row.due_at is not None
    assert row.due_at - row.requested_at == timedelta(minutes=20)
    assert (row.status, row.claimed_by) == ("claimed", "agent_session:editor")
    assert status_of(desk, task_id) == "completed"


def test_request__is_logged(desk: Desk) -> None:
    task_id, run_id = completed(desk, desk.agent())
    reviewers(desk, "editor")
    review_id = asked(desk, run_id, policy="on_success")["review_id"]
    kinds = ("task.run_review_requested", "task.run_review_bound")
    requested, bound = logged(task_id, *kinds)
    facts = {
        "status": "completed",
        "task_status": "completed",
        "review_id": review_id,
        "run_id": run_id,
        "policy": "on_success",
        "review_round": 1,
        "attempt": 1,
    }
    assert requested.payload == facts
    assert (requested.actor_kind, requested.origin_ref) == ("human", "tasks.request_run_review")
    assert bound.payload == facts | {
        "session_id": "editor",
        "reviewer_session_id": "editor",
        "reviewer_agent_name": "editor",
        "reviewer_peer_id": "editor.editor",
    }
    assert (bound.actor_kind, bound.actor_ref) == ("daemon", "review-router")
    assert {str(entry.run_id) for entry in (requested, bound)} == {run_id}


def test_request__again_returns_the_review_unchanged(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    with expect_unchanged():
        answer = expect("requestTaskRunReview", ask(desk, run_id, policy="on_failure", reason="x"))
    assert answer == {"created": False, "review": review}


@pytest.mark.parametrize(
    ("policy", "verb", "status"),
    [
        ("on_success", "complete", 201),
        ("on_success", "fail", 409),
        ("on_failure", "complete", 409),
        ("on_failure", "fail", 201),
        ("always", "complete", 201),
        ("always", "fail", 201),
        (" ALWAYS ", "fail", 201),
    ],
)
def test_request__by_policy(desk: Desk, policy: str, verb: str, status: int) -> None:
    agent = desk.agent()
    desk.started(desk.task()["id"])
    run_id = finish(agent, verb, **({"error": "No line"} if verb == "fail" else {}))
    assert ask(desk, run_id, policy=policy).status_code == status


def test_request__of_a_canceled_run_is_one_of_a_failure(desk: Desk) -> None:
    run_id = desk.started(desk.task()["id"])["id"]
    desk.post(f"/task-runs/{run_id}/cancel")
    with expect_unchanged():
        refused(ask(desk, run_id, policy="on_success"), 409, "canceled")
    assert asked(desk, run_id, policy="on_failure")["policy"] == "on_failure"


def test_request__of_an_open_run_is_refused(desk: Desk) -> None:
    run_id = desk.started(desk.task()["id"])["id"]
    with expect_unchanged():
        refused(ask(desk, run_id), 409, "queued")


@pytest.mark.parametrize(
    "body",
    [
        {"policy": "none"},
        {"policy": "sometimes"},
        {"review_round": 0},
        {"review_round": -1},
        {"attempt": 0},
        {"attempt": "1"},
        {"reason": "é" * 2049},
        {"deadline_at": "tomorrow"},
        {"run_id": NO_ID},
        {"task_id": "task-other"},
        {"parent_review_id": "x" * 257},
    ],
)
def test_request__that_is_invalid_is_400(desk: Desk, body: dict[str, Any]) -> None:
    _, run_id = completed(desk, desk.agent())
    with expect_unchanged():
        refused(ask(desk, run_id, **body), 400)


def test_request__takes_what_the_contract_requires(desk: Desk) -> None:
    task_id, run_id = completed(desk, desk.agent())
    deadline = "2031-08-24T14:15:22Z"
    review = asked(desk, run_id, run_id=run_id, task_id=task_id, deadline_at=deadline)
    assert review["deadline_at"] == "2031-08-24T14:15:22.000000Z"


def test_request__takes_the_time_that_means_none_as_missing(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    assert asked(desk, run_id, deadline_at=NO_TIME)["deadline_at"] > "2020"


def test_request__of_nothing_is_404(house: House, desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    stranger = strangers_desk(house)
    with expect_unchanged():
        refused(ask(desk, NO_ID), 404)
        refused(ask(desk, "x"), 404)
        refused(ask(stranger, run_id), 404)
        refused(ask(desk, run_id, parent_review_id=NO_ID), 404, "parent")
        refused(ask(desk, run_id, parent_review_id="x"), 404, "parent")


def test_request__of_another_apis_run_is_refused(house: House, desk: Desk) -> None:
    run = house.submitted()
    with expect_unchanged():
        refused(ask(desk, str(run.id)), 409, "another API")


def test_request__needs_an_editor(house: House, desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    viewer = desk_of(house, role=Role.VIEWER, scopes=[Scope.TASKS_REVIEW, Scope.TASKS_READ])
    with expect_unchanged():
        refused(ask(viewer, run_id), 403)


# --- attempts and rounds --------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["error", "timeout", "invalid_output", "blocked"])
def test_another_attempt__after_an_outcome_that_says_nothing(desk: Desk, outcome: str) -> None:
    _, run_id = completed(desk, desk.agent())
    first = asked(desk, run_id)
    with expect_unchanged():
        refused(ask(desk, run_id, attempt=2), 409, "not recorded")
    said(desk, first, outcome=outcome)
    second = asked(desk, run_id, attempt=2)
    assert second["attempt"] == 2
    assert second["status"] == ("circuit_opened" if outcome == "blocked" else "in_review")
    said(desk, second, outcome="error")
    with expect_unchanged():
        refused(ask(desk, run_id, attempt=3), 409, "attempts")
        refused(ask(desk, run_id, review_round=2), 409)


def test_another_attempt__after_a_verdict_is_refused(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    said(desk, asked(desk, run_id))
    with expect_unchanged():
        refused(ask(desk, run_id, attempt=2), 409, "approved")
        refused(ask(desk, run_id, review_round=2), 409)
        refused(ask(desk, run_id, review_round=4), 409, "rounds")


# --- routing --------------------------------------------------------------------------------------

SCORES: list[tuple[dict[str, Any], str]] = [
    ({}, "amy"),
    ({"agent_name": "cem"}, "cem"),
    ({"preferred_agent_names": ["bob", "cem"]}, "bob"),
    ({"preferred_peer_ids": ["cem.cem"]}, "cem"),
    ({"preferred_channel_ids": ["ops"]}, "bob"),
    ({"preferred_capabilities": ["french"]}, "cem"),
    # 3 of the peer is more than 2 of the channel; 2 and 1 are as much as 3: by session.
    ({"preferred_peer_ids": ["cem.cem"], "preferred_channel_ids": ["ops"]}, "cem"),
    ({"preferred_agent_names": ["dan"], "preferred_peer_ids": ["cem.cem"]}, "dan"),
    (
        {"preferred_agent_names": ["dan"], "preferred_peer_ids": ["cem.cem"]}
        | {"preferred_capabilities": ["french"]},
        "cem",
    ),
    ({"allowed_agent_names": ["dan", "bob"]}, "bob"),
    ({"allowed_channel_ids": ["ops"]}, "bob"),
    ({"allowed_peer_ids": ["dan.dan", "cem.cem"]}, "cem"),
    ({"required_capabilities": ["french"]}, "cem"),
    ({"allowed_agent_names": ["amy", "bob"], "preferred_agent_names": ["cem"]}, "amy"),
]


@pytest.mark.parametrize("limit", [1, 200])
@pytest.mark.parametrize(("rules", "chosen"), SCORES)
def test_routing__by_rules_and_scores(
    desk: Desk, rules: dict[str, Any], chosen: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.agents.reviewers.CANDIDATES_AT_ONCE", limit)
    task_id, run_id = completed(desk, desk.agent())
    reviewers(desk, "amy", "dan")
    reviewers(desk, "bob", channel="ops")
    reviewers(desk, "cem", capabilities=["french"])
    restrict(desk, task_id, **rules)
    assert asked(desk, run_id)["reviewer_session_id"] == chosen
    assert AgentSession.objects.count() == 5


def test_routing__stays_in_the_workspace(house: House, desk: Desk) -> None:
    worker = desk.agent(house, "w-1")
    workspace = {"scope": "workspace", "workspace": str(house.pool.id)}
    _, run_id = completed(desk, worker, **workspace)
    reviewers(desk, "amy")
    desk.agent(house, "bob", name="bob")
    assert asked(desk, run_id)["reviewer_session_id"] == "bob"


def test_routing__excludes_who_did_the_run_and_who_asked(desk: Desk) -> None:
    worker = desk.agent(session_id="a-1")
    desk.agent(session_id="a-2")
    _, run_id = completed(desk, worker)
    asking = reviewers(desk, "amy", "bob")[0]
    desk.agent(session_id="amy-2", name="amy")
    answer = as_agent(asking, f"/task-runs/{run_id}/reviews", {})
    review = expect("requestTaskRunReview", answer, 201)["review"]
    assert review["reviewer_session_id"] == "bob"


def test_routing__excludes_other_agents_of_the_worker(house: House, desk: Desk) -> None:
    _, own = agent_worker(house.pool)
    workspace = {"workspace_id": str(house.pool.id)}
    worker = registered(own, "a-1", name="drafter", **workspace)
    registered(own, "a-2", name="other", **workspace)
    desk.agent(house, "z-1", name="zed")
    _, run_id = completed(desk, worker, scope="workspace", workspace=str(house.pool.id))
    assert asked(desk, run_id)["reviewer_session_id"] == "z-1"


def test_routing__gives_a_session_one_review(desk: Desk) -> None:
    agent = desk.agent()
    _, first = completed(desk, agent)
    _, second = completed(desk, agent)
    reviewers(desk, "amy")
    assert asked(desk, first)["reviewer_session_id"] == "amy"
    other = asked(desk, second)["reviewer_session_id"]
    assert AgentSession.objects.get(session_id=other).registered_by == REVIEW_EXECUTOR


@pytest.mark.parametrize(
    ("rules", "started"),
    [
        ({}, "reviewer"),
        ({"agent_name": "amy"}, "amy"),
        ({"preferred_agent_names": ["bob"]}, "bob"),
        ({"allowed_agent_names": ["drafter", "cem"]}, "cem"),
        ({"allowed_agent_names": ["cem", "dan"], "preferred_agent_names": ["dan"]}, "dan"),
    ],
)
def test_routing__starts_a_session(desk: Desk, rules: dict[str, Any], started: str) -> None:
    task_id, run_id = completed(desk, desk.agent())
    channel = {"allowed_channel_ids": ["ops"], "required_capabilities": ["french"]}
    restrict(desk, task_id, **rules, **channel)
    review = asked(desk, run_id)
    assert (review["status"], review["reviewer_agent_name"]) == ("in_review", started)
    session = AgentSession.objects.get(session_id=review["reviewer_session_id"])
    assert (session.state, session.channel) == ("active", "ops")
    assert session.capabilities == ["french"]
    agent = Agent(desk.caller, session.session_id, started)
    assert expect("submitTaskRunReviewVerdict", agent_says(agent, review))


@pytest.mark.parametrize(
    ("names", "channel"),
    [
        ({"allowed_channel_ids": ["a" * 65, "ops"]}, "ops"),
        ({"allowed_channel_ids": ["a" * 64]}, "a" * 64),
        ({"preferred_channel_ids": ["a" * 65]}, ""),
        ({"allowed_channel_ids": ["a" * 65], "preferred_channel_ids": ["ops"]}, ""),
    ],
)
def test_routing__opens_no_session_of_a_channel_that_is_too_long(
    desk: Desk, names: dict[str, Any], channel: str
) -> None:
    task_id, run_id = completed(desk, desk.agent())
    restrict(desk, task_id, **names)
    review = asked(desk, run_id)
    session = AgentSession.objects.get(session_id=review["reviewer_session_id"])
    assert (session.registered_by, session.channel) == (REVIEW_EXECUTOR, channel)


@pytest.mark.parametrize(
    "rules", [{"allowed_peer_ids": ["amy.amy"]}, {"allowed_agent_names": ["drafter"]}]
)
def test_routing__without_a_reviewer_is_recorded(desk: Desk, rules: dict[str, Any]) -> None:
    task_id, run_id = completed(desk, desk.agent())
    restrict(desk, task_id, **rules)
    review = asked(desk, run_id)
    assert (review["status"], review["outcome"]) == ("recorded", "blocked")
    assert review["delivery_id"] == f"review-router:no-route:{review['review_id']}"
    assert review["reviewed_by"] == {"kind": "daemon", "ref": "review-router"}
    assert "reviewer_session_id" not in review
    assert circuit_of(task_id) == review["reason"]
    kinds = ("task.run_review_recorded", "task.run_review_blocked", "task.run_review_bound")
    assert [entry.type for entry in logged(task_id, *kinds)] == [*kinds[:2]]


def test_routing__in_a_closed_workspace_opens_no_session(house: House, desk: Desk) -> None:
    workspace = {"scope": "workspace", "workspace": str(house.pool.id)}
    _, run_id = completed(desk, desk.agent(house), **workspace)
    Pool.objects.filter(id=house.pool.id).update(status="closed")
    assert asked(desk, run_id)["outcome"] == "blocked"


def test_routing__is_made_up_for_where_a_process_died(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    # As the request's own transaction has left it.
    now = clock.now()
    Review.of_runs.update(status="waiting", claimed_by="", lease_until=None, claimed_at=None)
    RunReview.objects.update(reviewer_session_id="", check_at=now)
    assert shown(desk, review)["status"] == "requested"
    assert move_reviews(at=now) == 1
    assert shown(desk, review)["status"] == "in_review"
    with expect_unchanged():
        assert move_reviews(at=now) == 0


def test_a_reviewer_that_stops__is_replaced(desk: Desk) -> None:
    task_id, run_id = completed(desk, desk.agent())
    reviewers(desk, "amy", "bob")
    review = asked(desk, run_id)
    assert desk.caller.delete(f"{SESSIONS}/amy").status_code == 204
    assert move_reviews() == 1
    assert shown(desk, review)["reviewer_session_id"] == "bob"
    assert len(logged(task_id, "task.run_review_bound")) == 2
    assert move_reviews() == 0


def test_a_reviewer_that_stops__without_another_is_blocked(desk: Desk) -> None:
    task_id, run_id = completed(desk, desk.agent())
    reviewers(desk, "amy")
    restrict(desk, task_id, allowed_peer_ids=["amy.amy"])
    review = asked(desk, run_id)
    assert desk.caller.delete(f"{SESSIONS}/amy").status_code == 204
    move_reviews()
    assert shown(desk, review)["outcome"] == "blocked"


def test_a_reviewer_that_stopped_unnoticed__is_found(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    reviewers(desk, "amy", "bob")
    review = asked(desk, run_id)
    assert find_stranded_reviews() == 0
    now = clock.now()
    AgentSession.objects.filter(session_id="amy").update(state="stopped", ended_at=now)
    assert move_reviews(at=now) == 0
    assert find_stranded_reviews(at=now) == 1
    assert move_reviews(at=now) == 1
    assert shown(desk, review)["reviewer_session_id"] == "bob"


def test_a_session_for_a_review__gets_no_run(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    opened = Agent(desk.caller, review["reviewer_session_id"], review["reviewer_agent_name"])
    run = desk.started(desk.task()["id"])
    with expect_unchanged():
        assert opened.claim().status_code == 204
    desk.post(f"/task-runs/{run['id']}/claim")
    path = f"/task-runs/{run['id']}/attach-session"
    with expect_unchanged():
        refused(desk.post(path, session_id=opened.session_id), 409)


def test_many_due_reviews__are_all_looked_at(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.operations.selectors.reviews_of_runs.PAGE", 2)
    agent = desk.agent()
    for _ in range(5):
        asked(desk, completed(desk, agent)[1])
    assert move_reviews(at=clock.now() + timedelta(hours=1)) == 5
    assert RunReview.objects.filter(outcome="timeout").count() == 5


def test_a_review_that_the_version_before_has_ended__is_left(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    now = clock.now()
    # As its statement does for a task that ends without a verdict.
    Review.of_runs.update(
        status="expired",
        version=2,
        claimed_by="",
        lease_until=None,
        decided_by="system:policy",
        decided_at=now,
    )
    assert shown(desk, review)["status"] == "canceled"
    refused(say(desk, review), 409)
    later = now + timedelta(hours=1)
    assert move_reviews(at=later) == 1
    assert (move_reviews(at=later), shown(desk, review)["status"]) == (0, "canceled")
    # It says nothing of the work: the round may be tried once more.
    assert asked(desk, run_id, attempt=2)["attempt"] == 2


DECIDED = {
    "status": "approved",
    "claimed_by": "",
    "lease_until": None,
    "decided_by": "key:k",
    "decided_at": datetime(2026, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize("values", [DECIDED, {"claimed_by": "key:k"}], ids=["decide", "claim"])
def test_the_version_before__does_not_claim_or_decide(desk: Desk, values: dict[str, Any]) -> None:
    _, run_id = completed(desk, desk.agent())
    asked(desk, run_id)
    with (
        pytest.raises(IntegrityError, match="review_of_run_has_no_version"),
        transaction.atomic(),
    ):
        Review.of_runs.update(**values, version=2)


def test_a_session_for_a_review__ends_after_it(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    session = AgentSession.objects.get(session_id=review["reviewer_session_id"])
    later = clock.now() + timedelta(minutes=11)
    assert stop_silent_sessions(at=later) == 0
    said(desk, review)
    assert stop_silent_sessions(at=clock.now() + timedelta(minutes=9)) == 0
    assert stop_silent_sessions(at=later) == 1
    session.refresh_from_db()
    assert session.state == "stopped"


# --- verdicts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["approved", "blocked", "error", "timeout", "invalid_output"])
def test_verdict__is_recorded(desk: Desk, outcome: str) -> None:
    task_id, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    words = {"reason": "Seen", "next_round_guidance": "Ask", "review_text": "All of it"}
    answer = said(desk, review, outcome=f" {outcome.upper()} ", **words)
    found = answer["review"]
    assert found == shown(desk, review)
    assert (found["status"], found["outcome"], found["confidence"]) == ("recorded", outcome, 0.9)
    assert found["reviewed_by"] == {"kind": "human", "ref": desk.caller.principal.text}
    assert (found["reason"], found["next_round_guidance"]) == ("Seen", "Ask")
    assert (found["review_text"], found["delivery_id"]) == ("All of it", "d-1")
    assert found["reviewed_at"] != NO_TIME
    assert "continuation_run" not in answer
    assert answer.get("circuit_opened", False) is (outcome == "blocked")
    assert circuit_of(task_id) == ("Seen" if outcome == "blocked" else "")
    assert status_of(desk, task_id) == "completed"
    assert Run.objects.get().status == "completed"
    recorded, own = logged(task_id, "task.run_review_recorded", f"task.run_review_{outcome}")
    assert (
        recorded.payload
        == own.payload
        == {
            "status": "completed",
            "task_status": "completed",
            "review_id": review["review_id"],
            "run_id": run_id,
            "review_round": 1,
            "outcome": outcome,
            "confidence": 0.9,
            "delivery_id": "d-1",
        }
    )
    assert recorded.sequence < own.sequence


def test_rejection__queues_a_run(desk: Desk) -> None:
    agent = desk.agent()
    task_id, run_id = completed(desk, agent)
    review = asked(desk, run_id)
    answer = said(desk, review, **REJECTED, next_round_guidance="Ask first.")
    run = answer["continuation_run"]
    assert (run["status"], run["attempt"]) == ("queued", 2)
    assert run["metadata"] == {
        "source": "task_run_review",
        "review_id": review["review_id"],
        "outcome": "rejected",
        "parent_run_id": run_id,
    }
    assert "previous_run_id" not in run
    assert status_of(desk, task_id) == "ready"
    assert Run.objects.get(id=run_id).status == "completed"
    details = RunDetails.objects.get(run_id=run["id"])
    assert (str(details.reviewed_run_id), details.review_round) == (run_id, 2)
    assert (details.missing_work, details.guidance) == (["Name the order."], "Ask first.")
    entries = [entry for entry in logged(task_id) if "review" in entry.type][-3:]
    assert [entry.type for entry in entries] == [
        "task.run_review_recorded",
        "task.run_review_rejected",
        "task.run_review_retry_enqueued",
    ]
    assert entries[0].payload["continuation_run_id"] == run["id"]
    assert str(entries[2].run_id) == run["id"]
    assert entries[2].payload == {
        "status": "queued",
        "task_status": "ready",
        "review_id": review["review_id"],
        "run_id": run_id,
        "continuation_run_id": run["id"],
        "review_round": 1,
    }
    inspected = expect("inspectRun", desk.get(f"/runs/{run['id']}/inspect"))
    assert inspected["inspect"]["current_run"]["previous_run_id"] == run_id
    back = agent.claimed()["run"]["metadata"]["sent_back"]
    assert (back["verdict"], back["attempt"], back["output"]) == ("rejected", 1, {"reply": "Yes"})
    assert (back["missing_work"], back["guidance"]) == (["Name the order."], "Ask first.")


def test_rejection__names_the_review_before_it(desk: Desk) -> None:
    agent = desk.agent()
    _, run_id = completed(desk, agent)
    review = asked(desk, run_id)
    said(desk, review, **REJECTED)
    second = asked(desk, finish(agent), review_round=2)
    assert second["parent_review_id"] == review["review_id"]


def test_rejection__while_a_run_is_open_is_refused(desk: Desk) -> None:
    task_id, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    desk.started(task_id)
    with expect_unchanged():
        refused(say(desk, review, **REJECTED), 409, "open run")
    assert said(desk, review, outcome="approved")["review"]["outcome"] == "approved"


def test_rejection__of_a_canceled_task_is_refused(desk: Desk) -> None:
    run_id = desk.started(desk.task()["id"])["id"]
    desk.post(f"/task-runs/{run_id}/cancel")
    review = asked(desk, run_id)
    with expect_unchanged():
        refused(say(desk, review, **REJECTED), 409, "canceled")


def test_rejection__without_an_attempt_left_opens_the_circuit(desk: Desk) -> None:
    task_id, run_id = completed(desk, desk.agent(), max_attempts=1)
    review = asked(desk, run_id)
    answer = said(desk, review, **REJECTED, reason="Not done")
    assert (answer["circuit_opened"], answer["review"]["outcome"]) == (True, "rejected")
    assert "continuation_run" not in answer
    assert circuit_of(task_id) == "Not done"
    assert Run.objects.count() == 1
    with expect_unchanged():
        assert said(desk, review, **REJECTED, reason="Not done") == answer


def test_rejection__in_the_third_round_opens_the_circuit(desk: Desk) -> None:
    task_id, run_id = completed(desk, desk.agent())
    answer = said(desk, asked(desk, run_id, review_round=3), **REJECTED)
    assert answer["circuit_opened"] is True
    assert (Run.objects.count(), circuit_of(task_id)) == (1, "Fine")


@pytest.mark.parametrize("outcome", ["approved", "error", "timeout", "invalid_output"])
def test_an_open_circuit__holds_back_until_a_person_answers(desk: Desk, outcome: str) -> None:
    agent = desk.agent()
    editor = reviewers(desk, "editor")[0]
    task_id, first = completed(desk, agent)
    said(desk, asked(desk, first), outcome="blocked", reason="No access")
    second = done(desk, agent, task_id)
    review = asked(desk, second)
    assert review["status"] == "circuit_opened"
    assert "reviewer_session_id" not in review
    assert len(logged(task_id, "task.run_review_requested")) == 2
    with expect_unchanged():
        assert move_reviews(at=clock.now() + timedelta(days=1)) == 0
        refused(agent_says(editor, review), 409, "circuit")
    said(desk, review, outcome=outcome)
    assert circuit_of(task_id) == ""
    third = done(desk, agent, task_id)
    assert asked(desk, third)["reviewer_session_id"] == "editor"


def test_verdict__again_answers_the_same_and_writes_nothing(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    answer = said(desk, review, **REJECTED)
    with expect_unchanged():
        assert said(desk, review, **REJECTED, confidence=0.1) == answer


@pytest.mark.parametrize(
    "other",
    [
        {"delivery_id": "d-2"},
        {"outcome": "error"},
        {"reason": "Other"},
        {"missing_work": ["Other"]},
        {"next_round_guidance": "Other"},
        {"review_text": "Other"},
    ],
)
def test_verdict__after_another_one_is_refused(desk: Desk, other: dict[str, Any]) -> None:
    _, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    said(desk, review, **REJECTED)
    with expect_unchanged():
        refused(say(desk, review, **{**REJECTED, **other}), 409, "Another verdict")


def test_verdict__of_another_person_after_it_is_refused(house: House, desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    said(desk, review)
    other = desk_of(house)
    with expect_unchanged():
        refused(say(other, review), 409, "Another verdict")


def test_agents__answer_what_is_bound_to_them(desk: Desk) -> None:
    agent = desk.agent()
    _, run_id = completed(desk, agent)
    amy, bob = reviewers(desk, "amy", "bob")
    review = asked(desk, run_id)
    with expect_unchanged():
        refused(agent_says(bob, review), 403, "Another session")
        refused(agent_says(agent, review), 403, "Another session")
    answer = expect("submitTaskRunReviewVerdict", agent_says(amy, review))
    assert answer["review"]["reviewed_by"] == {"kind": "agent_session", "ref": "amy"}
    with expect_unchanged():
        assert expect("submitTaskRunReviewVerdict", agent_says(amy, review)) == answer


def test_people__answer_what_is_bound_to_a_session(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    amy = reviewers(desk, "amy")[0]
    review = asked(desk, run_id)
    said(desk, review)
    with expect_unchanged():
        refused(agent_says(amy, review), 409, "Another verdict")


def test_a_workers_own_key__does_not_review_its_run(house: House, desk: Desk) -> None:
    worker, own = agent_worker(house.pool)
    agent = registered(own, "a-1", workspace_id=str(house.pool.id))
    _, run_id = completed(desk, agent, scope="workspace", workspace=str(house.pool.id))
    review = asked(desk, run_id)
    scopes = [Scope.TASKS_REVIEW, Scope.TASKS_READ]
    key = desk_of(house, worker_id=worker.id, scopes=scopes)
    with expect_unchanged():
        refused(say(key, review), 403, "Another person")


@pytest.mark.parametrize(
    "words",
    [
        {"outcome": "fine"},
        {"outcome": ""},
        {"confidence": None},
        {"confidence": 1.1},
        {"confidence": -0.1},
        {"confidence": "1"},
        {"reason": " "},
        {"reason": "x" * 4097},
        {"delivery_id": ""},
        {"delivery_id": "x" * 257},
        {"next_round_guidance": "x" * 8193},
        {"review_text": "x" * 65_537},
        {"missing_work": ["x"]},
        {"outcome": "rejected"},
        {"outcome": "rejected", "missing_work": "x"},
        {"outcome": "rejected", "missing_work": ["x", " "]},
        {"outcome": "rejected", "missing_work": [1]},
    ],
)
def test_verdict__that_is_invalid_is_400(desk: Desk, words: dict[str, Any]) -> None:
    _, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    with expect_unchanged():
        refused(say(desk, review, **words), 400)


def test_verdict__on_another_run_is_400(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    with expect_unchanged():
        refused(say(desk, {**review, "run_id": NO_ID}), 400, "run_id")


def test_verdict__with_too_much_missing_work_is_413(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    with expect_unchanged():
        refused(say(desk, review, outcome="rejected", missing_work=["x" * 65_536]), 413)


def test_verdict__on_nothing_is_404(house: House, desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    review, stranger = asked(desk, run_id), strangers_desk(house)
    with expect_unchanged():
        refused(say(desk, {**review, "review_id": NO_ID}), 404)
        refused(say(desk, {**review, "review_id": "x"}), 404)
        refused(say(stranger, review), 404)


def test_a_claim_token__is_redacted(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id, reason="agh_claim_abc")
    assert review["reason"] == "[redacted]"
    words = {"reason": "agh_claim_abc", "review_text": "agh_claim_abc"}
    found = said(desk, review, **words)["review"]
    assert (found["reason"], found["review_text"]) == ("[redacted]", "[redacted]")
    with expect_unchanged():
        said(desk, review, **words)


# --- deadlines ------------------------------------------------------------------------------------


def test_a_deadline__is_recorded(desk: Desk) -> None:
    task_id, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    now = clock.now()
    with expect_unchanged():
        assert move_reviews(at=now + timedelta(minutes=19)) == 0
    assert move_reviews(at=now + timedelta(minutes=21)) == 1
    found = shown(desk, review)
    assert (found["status"], found["outcome"]) == ("recorded", "timeout")
    assert found["delivery_id"] == f"deadline:{review['review_id']}"
    assert found["reviewed_by"]["kind"] == "daemon"
    assert "confidence" not in found
    timeout = logged(task_id, "task.run_review_timeout")[0]
    assert (timeout.payload["confidence"], timeout.actor_kind) == (0, "daemon")
    with expect_unchanged():
        assert move_reviews(at=now + timedelta(minutes=22)) == 0
        refused(say(desk, review), 409, "Another verdict")


def test_a_deadline_in_the_past__is_recorded_by_the_next_pass(desk: Desk) -> None:
    _, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id, deadline_at="2019-08-24T14:15:22Z")
    assert review["status"] == "in_review"
    assert move_reviews() == 1
    assert shown(desk, review)["outcome"] == "timeout"


# --- lists ----------------------------------------------------------------------------------------


def test_lists__have_the_last_changed_first(desk: Desk) -> None:
    agent = desk.agent()
    task_id, first = completed(desk, agent)
    one = asked(desk, first)
    two = asked(desk, done(desk, agent, task_id))
    said(desk, one)

    def listed(path: str, operation: str, **query: Any) -> list[str]:
        found = expect(operation, desk.get(path, **query))["reviews"]
        return [review["review_id"] for review in found]

    def of_task(**query: Any) -> list[str]:
        return listed(f"/tasks/{task_id}/reviews", "listTaskReviews", **query)

    assert of_task() == [one["review_id"], two["review_id"]]
    assert of_task(limit=1) == [one["review_id"]]
    assert of_task(limit=0) == of_task()
    assert of_task(status=" IN_REVIEW ") == [two["review_id"]]
    assert of_task(status="routed") == []
    assert of_task(reviewer_session_id=two["reviewer_session_id"]) == [two["review_id"]]
    path = f"/task-runs/{first}/reviews"
    assert listed(path, "listTaskRunReviews") == [one["review_id"]]
    assert listed(path, "listTaskRunReviews", status="in_review") == []


@pytest.mark.parametrize("query", [{"status": "open"}, {"limit": -1}, {"limit": "x"}])
def test_lists__that_are_invalid_are_400(desk: Desk, query: dict[str, Any]) -> None:
    task_id, run_id = completed(desk, desk.agent())
    refused(desk.get(f"/tasks/{task_id}/reviews", **query), 400)
    refused(desk.get(f"/task-runs/{run_id}/reviews", **query), 400)


def test_reads__of_nothing_are_404(house: House, desk: Desk) -> None:
    task_id, run_id = completed(desk, desk.agent())
    review = asked(desk, run_id)
    stranger = strangers_desk(house)
    for other in (desk, stranger):
        refused(other.get("/tasks/task-none/reviews"), 404)
        refused(other.get(f"/task-runs/{NO_ID}/reviews"), 404)
        refused(other.get(f"/task-reviews/{NO_ID}"), 404)
        refused(other.get("/task-reviews/x"), 404)
    refused(stranger.get(f"/tasks/{task_id}/reviews"), 404)
    refused(stranger.get(f"/task-runs/{run_id}/reviews"), 404)
    refused(stranger.get(f"/task-reviews/{review['review_id']}"), 404)


# --- what is deleted ------------------------------------------------------------------------------


def test_a_deleted_task__has_no_reviews(desk: Desk) -> None:
    task_id, run_id = completed(desk, desk.agent())
    reviewers(desk, "amy")
    review = asked(desk, run_id)
    assert desk.delete(f"/tasks/{task_id}").status_code == 204
    refused(desk.get(f"/task-reviews/{review['review_id']}"), 404)
    refused(say(desk, review), 404)
    with expect_unchanged():
        assert move_reviews(at=clock.now() + timedelta(hours=1)) == 0
    # The reviewer is free again.
    _, other = completed(desk, desk.agent(session_id="s-2"))
    assert asked(desk, other)["reviewer_session_id"] == "amy"


def test_a_purged_task__keeps_no_words_and_no_open_review(desk: Desk) -> None:
    agent = desk.agent()
    task_id, run_id = completed(desk, agent)
    first = asked(desk, run_id, reason="Please look")
    words = {"next_round_guidance": "Ask first.", "review_text": "All of it"}
    run = said(desk, first, **REJECTED, **words)["continuation_run"]
    finish(agent)
    asked(desk, run["id"], reason="Again")
    details = TaskDetails.objects.get(wire_id=task_id)
    tasks_purged = purge_details([details.task_id])
    assert tasks_purged == []
    rows = RunReview.objects.values("request_reason", "reason", "missing_work", "guidance", "text")
    assert [{**row} for row in rows] == [
        {"request_reason": "", "reason": "", "missing_work": [], "guidance": "", "text": ""}
    ] * 2
    lineage = RunDetails.objects.get(run_id=run["id"])
    assert (lineage.review_reason, lineage.missing_work, lineage.guidance) == ("", None, "")
    assert Review.of_runs.open().count() == 0
    with expect_unchanged():
        assert move_reviews(at=clock.now() + timedelta(hours=1)) == 0


def test_erasure__deletes_what_a_worker_wrote(house: House, desk: Desk) -> None:
    task_id, run_id = completed(desk, desk.agent())
    _, other = completed(desk, desk.agent(session_id="s-2"))
    closed_id, last = completed(desk, desk.agent(session_id="s-3"), max_attempts=1)
    our_id, our_last = completed(desk, desk.agent(session_id="s-4"), max_attempts=1)
    worker, _ = agent_worker(house.pool, name="Editor")
    scopes = [Scope.TASKS_REVIEW, Scope.TASKS_READ]
    theirs, ours = asked(desk, run_id, reason="Please look"), asked(desk, other)
    editor = desk_of(house, worker_id=worker.id, scopes=scopes)
    said(editor, theirs, **REJECTED, review_text="Mine", next_round_guidance="Ask")
    said(editor, asked(desk, last), **REJECTED, reason="Not done")
    said(desk, ours, **REJECTED, review_text="Ours")
    said(desk, asked(desk, our_last), **REJECTED, reason="Nor this")

    def erase(*, apply: bool) -> list[Any]:
        ids = {"organisation_id": house.organisation.id, "worker_id": worker.id}
        return list(erase_run_review_words(**ids, apply=apply, at=clock.now()))

    with expect_unchanged():
        (found,) = erase(apply=False)
    assert (found.count, found.kept_because) == (2, "")
    erase(apply=True)
    assert erase(apply=True) == []
    assert "review_text" not in shown(desk, theirs)
    assert shown(desk, ours)["review_text"] == "Ours"
    # Nor is anything left of it where the verdict was copied to.
    copy = RunDetails.objects.get(review_id=theirs["review_id"])
    assert (copy.review_reason, copy.missing_work, copy.guidance) == ("", None, "")
    assert RunDetails.objects.get(review_id=ours["review_id"]).missing_work == ["Name the order."]
    reasons = dict(TaskDetails.objects.values_list("wire_id", "circuit_reason"))
    assert (reasons[closed_id], reasons[our_id], reasons[task_id]) == ("", "Nor this", "")
    assert TaskDetails.objects.get(wire_id=closed_id).circuit_opened_at is not None


# --- reviews of outputs ---------------------------------------------------------------------------


def test_reviews_of_outputs__can_be_read(house: House, desk: Desk) -> None:
    set_policy(house.pool)
    review = in_review(house)
    path = f"/tasks/{review.task_id}/reviews"
    (found,) = expect("listTaskReviews", desk.get(path))["reviews"]
    assert (found["status"], found["review_id"]) == ("requested", str(review.id))
    assert (found["task_id"], found["review_round"]) == (str(review.task_id), 1)
    rita = reviewer(house)
    assert rita.post(f"/v1/reviews/{review.id}/claim").status_code == 200
    assert (
        expect("getTaskRunReview", desk.get(f"/task-reviews/{review.id}"))["review"]["status"]
        == "in_review"
    )
    with expect_unchanged():
        refused(say(desk, found), 409, "another API")
    answer = rita.post(
        f"/v1/reviews/{review.id}/verdict",
        {"version": 2, "verdict": "rework", "reason": "Call again."},
    )
    assert answer.status_code == 200, answer.content
    (found,) = expect("listTaskRunReviews", desk.get(f"/task-runs/{review.run_id}/reviews"))[
        "reviews"
    ]
    assert (found["status"], found["outcome"]) == ("recorded", "rejected")
    assert found["reviewed_by"] == {"kind": "human", "ref": rita.principal.text}
    assert found["reason"] == "Call again."


def test_an_output_that_waits__is_not_reviewed_twice(house: House, desk: Desk) -> None:
    set_policy(house.pool)
    workspace = {"scope": "workspace", "workspace": str(house.pool.id)}
    _, run_id = completed(desk, desk.agent(house), **workspace)
    with expect_unchanged():
        refused(ask(desk, run_id), 409, "waits for a review")
    output = Review.objects.get()
    with expect_unchanged():
        refused(say(desk, {"review_id": str(output.id), "run_id": run_id}), 409)


def test_reviews_of_runs__are_none_of_the_kernels(house: House, desk: Desk) -> None:
    workspace = {"scope": "workspace", "workspace": str(house.pool.id)}
    _, run_id = completed(desk, desk.agent(house), **workspace)
    review = asked(desk, run_id)
    rita: Caller = reviewer(house)

    def listed() -> list[Any]:
        found = rita.get("/v1/reviews")
        assert found.status_code == 200, found.content
        reviews: list[Any] = found.json()["data"]
        return reviews

    assert listed() == []
    assert rita.get(f"/v1/reviews/{review['review_id']}").status_code == 404
    assert rita.post(f"/v1/reviews/{review['review_id']}/claim").status_code == 404
    said(desk, review)
    assert listed() == []
    assert Review.objects.count() == 0
    assert Review.of_runs.count() == 1
