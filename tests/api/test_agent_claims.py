"""Claim-next: what is eligible, in which order, and what is refused."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from apps.accounts.scopes import Scope
from apps.agents import queue
from apps.agents.models import AgentClaim
from apps.agents.services import claims
from apps.base import clock
from apps.events.models import Event
from apps.pools.models import Certification, Membership, Pool, Worker
from apps.pools.services import provision_pool
from apps.reviews.models import Review
from apps.tasks.models import Run, Task
from apps.tasks.services import queue_created
from apps.teams.models import Team, TeamStatus
from tests.agent_steps import Agent, agent_of, agent_worker, for_pool, operator, registered
from tests.api.expect import expect_unchanged
from tests.concurrency.together import together
from tests.factories import NO_ID, OUTPUT, House, contract
from tests.review_steps import decide, reviewer, set_policy

NO_TASK = 204


def title_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    title: str = answer.json()["claim"]["task"]["title"]
    return title


def code(answer: Any, status: int) -> str | None:
    assert answer.status_code == status, answer.content
    found: str | None = answer.json().get("diagnostic", {}).get("code")
    return found


# --- what is eligible -----------------------------------------------------------------------------


def test_claim__nothing_is_204_without_a_body(house: House) -> None:
    answer = agent_of(house).claim()
    assert (answer.status_code, answer.content) == (NO_TASK, b"")


def test_claim__stays_in_its_scope(house: House) -> None:
    house.queued(title="global")
    for_pool(house, title="of the pool")
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    house.queued(title="elsewhere", requirements={"worker_pool_id": str(other.id)})
    member, free = agent_of(house), registered(operator(house), "s-2")
    assert title_of(member.claim()) == "of the pool"
    assert title_of(free.claim()) == "global"


def test_claim__of_a_global_task_needs_a_worker_of_its_candidate_pools(house: House) -> None:
    restricted = operator(house, scopes=[Scope.TASKS_CREATE], pool_ids=[house.pool.id])
    assert restricted.post("/v1/tasks", contract()).status_code == 201
    assert queue_created() == 1
    assert registered(operator(house), "s-1").claim().status_code == NO_TASK
    _, caller = agent_worker(house.pool)
    assert registered(caller, "s-2", name="member").claim().status_code == 200


def test_claim__refused_for_another_workspace(house: House) -> None:
    agent, free = agent_of(house), registered(operator(house), "s-2")
    with expect_unchanged():
        assert code(agent.claim(workspace_id=NO_ID), 403) == "identity_unauthorized"
        assert code(free.claim(workspace_id=str(house.pool.id)), 403) == "identity_unauthorized"
    assert agent.claim(workspace_id=str(house.pool.id)).status_code == NO_TASK


def test_claim__needs_the_skills_of_the_task(house: House) -> None:
    needs = {"skills": ["phone"], "skill_levels": {"phone": 3}, "languages": ["fr"]}
    for_pool(house, requirements=needs)
    agent = agent_of(house, capabilities=["@fr"])
    assert agent.claim().status_code == NO_TASK
    assert agent.claim(required_capabilities=["fax"]).status_code == NO_TASK
    assert agent.claim(required_capabilities=[" phone ", "phone"]).status_code == 200


def test_claim__counts_what_the_worker_can_do(house: House) -> None:
    needs = {"skills": ["phone"], "trust_level": 2, "certifications": ["soc-operator"]}
    for_pool(house, requirements=needs)
    worker, caller = agent_worker(house.pool, skills=["phone"])
    agent = registered(caller, workspace_id=str(house.pool.id))
    assert agent.claim().status_code == NO_TASK
    Worker.objects.update(trust_level=2)
    assert agent.claim().status_code == NO_TASK
    held = Certification.objects.create(
        organisation=house.organisation, worker=worker, code="soc-operator", expires_at=clock.now()
    )
    assert agent.claim().status_code == NO_TASK
    held.expires_at = None
    held.save()
    assert agent.claim().status_code == 200


def test_claim__of_a_channel_is_for_its_run_only(house: House) -> None:
    task = for_pool(house)
    for_pool(house)
    second = Run.objects.exclude(task=task).get()
    other = agent_of(house, "s-1", channel="ops")
    assert other.claim().status_code == NO_TASK
    agent = agent_of(house, "s-2", channel=f"coord-{second.id}")
    assert agent.claimed()["run"]["id"] == str(second.id)
    assert agent_of(house, "s-3", channel=f"coord-{second.id}").claim().status_code == NO_TASK


def test_claim__ends_with_the_membership_and_the_pool(house: House) -> None:
    for_pool(house)
    agent = agent_of(house)
    Pool.objects.filter(id=house.pool.id).update(status="closed")
    assert agent.claim().status_code == NO_TASK
    Pool.objects.filter(id=house.pool.id).update(status="active")
    Membership.objects.filter(worker__kind="agent").delete()
    assert agent.claim().status_code == NO_TASK


def test_claim__not_of_what_is_offered_or_held(house: House) -> None:
    house.offered(requirements={"worker_pool_id": str(house.pool.id)})
    assert agent_of(house).claim().status_code == NO_TASK


# --- teams ----------------------------------------------------------------------------------------


def team_of(house: House, **values: Any) -> Team:
    at = clock.now()
    return Team.objects.create(
        pool=house.pool,
        organisation=house.organisation,
        **{"next_window_at": at + timedelta(hours=1), **values},
    )


def test_claim__of_a_team_waits_for_its_window(house: House) -> None:
    team = team_of(house)
    for_pool(house, title="first")
    agent = agent_of(house)
    assert agent.claim().status_code == NO_TASK
    opened = {"windows": 1, "window_opened_at": clock.now()}
    Team.objects.filter(pool_id=team.pool_id).update(**opened)
    for_pool(house, title="after the window opened")
    assert title_of(agent.claim()) == "first"
    assert agent_of(house, "s-2").claim().status_code == NO_TASK


def test_claim__of_a_team_takes_what_is_critical_at_once(house: House) -> None:
    team_of(house)
    for_pool(house, title="usual")
    for_pool(house, title="critical", sla={"urgency": "critical"})
    assert title_of(agent_of(house).claim()) == "critical"
    assert agent_of(house, "s-2").claim().status_code == NO_TASK


@pytest.mark.parametrize("status", [TeamStatus.PAUSED, TeamStatus.ARCHIVED])
def test_claim__of_a_team_that_is_not_active_finds_nothing(house: House, status: str) -> None:
    opened = {"windows": 1, "window_opened_at": clock.now() + timedelta(hours=1)}
    team_of(house, status=status, next_window_at=None, **opened)
    for_pool(house, sla={"urgency": "critical"})
    assert agent_of(house).claim().status_code == NO_TASK


# --- the order ------------------------------------------------------------------------------------


def test_claim__in_the_order_of_priority_preferred_skills_and_time(house: House) -> None:
    preferred = {"preferred_skills": ["phone", "french"]}
    for_pool(house, title="normal, older")
    for_pool(house, title="normal, newer")
    for_pool(house, title="normal, preferred", requirements=preferred)
    for_pool(house, title="low", sla={"urgency": "low"})
    for_pool(house, title="critical", sla={"urgency": "critical"})
    for_pool(house, title="high", sla={"urgency": "high"})
    agent = agent_of(house, capabilities=["phone"])
    taken = []
    while (answer := agent.claim()).status_code != NO_TASK:
        taken.append(title_of(answer))
        agent.on(answer.json()["claim"]["run"]["id"], "complete", result=OUTPUT)
    assert taken == [
        "critical",
        "high",
        "normal, preferred",
        "normal, older",
        "normal, newer",
        "low",
    ]


def test_claim__a_released_run_keeps_its_place(house: House) -> None:
    for_pool(house, title="older")
    for_pool(house, title="newer")
    agent = agent_of(house)
    claim = agent.claimed()
    agent.on(claim["run"]["id"], "release")
    again = agent.claimed()
    assert again["task"]["title"] == "older"
    assert again["run"]["queued_at"] == claim["run"]["queued_at"]
    assert again["run"]["attempt"] == 1


def test_claim__a_failed_run_is_followed_by_a_new_one_at_the_end(house: House) -> None:
    for_pool(house, title="older")
    for_pool(house, title="newer")
    agent = agent_of(house)
    agent.on(agent.claimed()["run"]["id"], "fail", error="no line")
    assert agent.claimed()["task"]["title"] == "newer"


@pytest.mark.parametrize(("least", "title"), [(0, "low"), (10, "low"), (11, None), (40, None)])
def test_claim__from_a_least_priority(house: House, least: int, title: str | None) -> None:
    for_pool(house, title="low", sla={"urgency": "low"})
    answer = agent_of(house).claim(priority_min=least)
    assert (title_of(answer) if title else answer.status_code) == (title or NO_TASK)


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"lease_seconds": -1},
        {"lease_seconds": 86_401},
        {"lease_seconds": "300"},
        {"priority_min": -1},
        {"priority_min": True},
        {"wait": "yes"},
        {"required_capabilities": ["c" * 129]},
        {"required_capabilities": "phone"},
        {"idempotency_key": "k" * 256},
        [],
    ],
)
def test_claim__refused_where_invalid(house: House, body: Any) -> None:
    for_pool(house)
    agent = agent_of(house)
    with expect_unchanged():
        answer = agent.post("/claim-next", body)
        assert code(answer, 422) is None
    assert set(answer.json()) == {"error"}


def test_claim__takes_no_body_and_ignores_what_it_does_not_know(house: House) -> None:
    agent = agent_of(house)
    assert agent.post("/claim-next").status_code == NO_TASK
    assert agent.post("/claim-next", {"colour": 1, "wait": None}).status_code == NO_TASK
    assert agent.caller.client.post("/api/agent/tasks/claim-next").status_code == 401


def test_claim__refused_where_the_body_is_no_json(house: House) -> None:
    agent = agent_of(house)
    answer = agent.caller.client.generic(
        "POST",
        "/api/agent/tasks/claim-next",
        b"{",
        "application/json",
        headers={
            "Authorization": f"Bearer {agent.caller.key}",
            "X-AGH-Session-ID": "s-1",
            "X-AGH-Agent": "drafter",
        },
    )
    assert code(answer, 422) is None


@pytest.mark.parametrize(("asked", "seconds"), [(None, 300), (0, 300), (1, 1), (86_400, 86_400)])
def test_claim__leases_for_as_long_as_asked(house: House, asked: int | None, seconds: int) -> None:
    for_pool(house)
    run_id = agent_of(house).claimed(lease_seconds=asked)["run"]["id"]
    run = Run.objects.get(id=run_id)
    assert run.lease_until is not None
    assert run.claimed_at is not None
    assert run.lease_until - run.claimed_at == timedelta(seconds=seconds)


# --- one at a time --------------------------------------------------------------------------------


def test_claim__refused_while_the_session_holds_one(house: House) -> None:
    for_pool(house)
    for_pool(house)
    agent = agent_of(house)
    agent.claimed(idempotency_key="k-1")
    with expect_unchanged():
        assert code(agent.claim(), 409) == "autonomy_lease_already_held"
        assert code(agent.claim(idempotency_key="k-2"), 409) == "autonomy_lease_already_held"


def test_claim__again_with_its_key_is_the_same_claim(house: House) -> None:
    for_pool(house)
    for_pool(house)
    agent = agent_of(house)
    first = agent.claim(idempotency_key="k-1")
    with expect_unchanged():
        again = agent.claim(idempotency_key="k-1")
    assert again.status_code == 200
    assert again.json() == first.json()
    run_id = first.json()["claim"]["run"]["id"]
    agent.on(run_id, "complete", result=OUTPUT)
    assert agent.claimed(idempotency_key="k-1")["run"]["id"] != run_id


def test_claim__after_the_lease_ended(house: House) -> None:
    for_pool(house)
    agent = agent_of(house)
    run_id = agent.claimed()["run"]["id"]
    Run.objects.filter(id=run_id).update(lease_until=F("claimed_at"))
    assert agent.claim().status_code == NO_TASK
    assert AgentClaim.objects.get().end == "lost"


def test_claim__one_event_by_the_sessions_worker(house: House) -> None:
    task = for_pool(house)
    agent_of(house).claimed()
    worker = Worker.objects.get(kind="agent")
    event = Event.objects.get(task_id=task.id, type="task.accepted")
    assert (event.actor_kind, event.actor_id) == ("worker", str(worker.id))
    assert event.data["worker_id"] == str(worker.id)
    task.refresh_from_db()
    assert (task.status, task.worker_id, worker.load) == ("accepted", worker.id, 1)


def test_claim__an_output_that_was_rejected_goes_to_another_worker(house: House) -> None:
    set_policy(house.pool, on_reject="new_worker")
    for_pool(house)
    agent = agent_of(house)
    agent.on(agent.claimed()["run"]["id"], "complete", result=OUTPUT)
    review = Review.objects.select_related("task", "run").get()
    decide(reviewer(house).principal, review, "reject")
    assert agent.claim().status_code == NO_TASK
    run = agent_of(house, "s-2", name="checker").claimed()["run"]
    assert run["metadata"]["sent_back"]["verdict"] == "rejected"


def test_claim__rejected_tasks_hide_none_behind_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "SIZES", (1,))
    set_policy(house.pool, on_reject="new_worker")
    for title in ("First", "Second"):
        for_pool(house, title=title)
    agent = agent_of(house)
    agent.on(agent.claimed()["run"]["id"], "complete", result=OUTPUT)
    decide(reviewer(house).principal, Review.objects.select_related("task", "run").get(), "reject")
    Run.objects.filter(status="queued").update(queued_at=house.pool.created_at)
    Task.objects.filter(title="First").update(run_queued_at=house.pool.created_at)
    assert agent.claimed()["task"]["title"] == "Second"


# --- waiting --------------------------------------------------------------------------------------


def test_wait__returns_what_is_queued_meanwhile(house: House) -> None:
    agent = agent_of(house)
    task = house.task(requirements={"worker_pool_id": str(house.pool.id)})

    def queue_later() -> None:
        time.sleep(0.5)
        assert queue_created() == 1

    answer, _ = together(lambda: agent.claim(wait=True), queue_later)
    assert answer.json()["claim"]["task"]["id"] == str(task.id)


def test_wait__gives_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "WAIT_SECONDS", 0.5)
    began = time.monotonic()
    assert agent_of(house).claim(wait=True).status_code == NO_TASK
    assert time.monotonic() - began >= 0.4


def test_wait__is_not_for_more_than_some_threads(house: House) -> None:
    agents = [agent_of(house, f"s-{number}") for number in range(3)]
    for _ in range(claims.MAX_WAITING_THREADS):
        assert claims._waiting_threads.acquire(blocking=False)
    try:
        began = time.monotonic()
        assert agents[0].claim(wait=True).status_code == NO_TASK
        assert time.monotonic() - began < 5
    finally:
        for _ in range(claims.MAX_WAITING_THREADS):
            claims._waiting_threads.release()


def test_wait__ends_with_the_session(house: House) -> None:
    agent: Agent = agent_of(house)

    def stop() -> None:
        time.sleep(0.3)
        operator(house, role="manager").delete("/v1/agent-sessions/s-1")
        for_pool(house)

    answer, _ = together(lambda: agent.claim(wait=True), stop)
    assert code(answer, 401) == "identity_stale"
