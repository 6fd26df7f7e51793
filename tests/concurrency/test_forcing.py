"""Forced operations, drains and claims at the same time."""

from collections import Counter
from functools import partial
from typing import Any

import pytest

from apps.agents.models import AgentClaim
from apps.operations.models import RunDetails
from apps.pools.models import Worker
from apps.tasks.models import RUN_HELD, Run
from tests.agent_steps import Agent
from tests.concurrency.test_races import everything_holds
from tests.concurrency.together import together
from tests.factories import Caller, House
from tests.operator_steps import Desk, desk_of

TRIES = 8


def other(desk: Desk) -> Desk:
    """Return the same key with a client of its own, for another thread."""
    return Desk(Caller(desk.caller.key))


def queued(desk: Desk, house: House, **fields: Any) -> str:
    task = desk.task(scope="workspace", workspace=house.pool.name, **fields)
    run_id: str = desk.started(task["id"])["id"]
    return run_id


@pytest.mark.parametrize("verb", ["complete", "release", "fail"])
def test_release_by_force_and_by_the_holder__one_of_them_counts(house: House, verb: str) -> None:
    desk = desk_of(house)
    agent = desk.agent(house)
    for _ in range(TRIES):
        run_id = queued(desk, house)
        agent.claimed()
        held = Agent(Caller(desk.caller.key), agent.session_id, agent.name)
        forced, own = together(
            partial(other(desk).post, f"/runs/{run_id}/release"),
            partial(held.on, run_id, verb, result={}, error="x"),
        )
        assert sorted([forced.status_code, own.status_code]) == [200, 409]
        assert not AgentClaim.objects.filter(ended_at=None).exists()
        assert set(Worker.objects.values_list("load", flat=True)) <= {0}
        Run.objects.get(id=run_id)
        if Run.objects.get(id=run_id).status == "queued":
            assert desk.post(f"/runs/{run_id}/fail", reason="next").status_code == 200
    everything_holds()


def test_fail_by_force_and_a_claim__leave_no_claim_of_a_failed_run(house: House) -> None:
    desk = desk_of(house)
    agents = [desk.agent(house, f"s-{number}") for number in range(TRIES)]
    for agent in agents:
        run_id = queued(desk, house)
        mine = Agent(Caller(desk.caller.key), agent.session_id, agent.name)
        forced, claim = together(
            partial(other(desk).post, f"/runs/{run_id}/fail", reason="x"), mine.claim
        )
        assert forced.status_code == 200
        assert claim.status_code in (200, 204)
        assert Run.objects.get(id=run_id).status == "failed"
    assert not AgentClaim.objects.filter(ended_at=None).exists()
    assert set(Worker.objects.values_list("load", flat=True)) == {0}
    everything_holds()


def test_retries_at_once__queue_one_run(house: House) -> None:
    desk = desk_of(house)
    run_id = queued(desk, house)
    desk.post(f"/runs/{run_id}/fail", reason="x")
    calls = [partial(other(desk).post, f"/runs/{run_id}/retry") for _ in range(6)]
    statuses = Counter(answer.status_code for answer in together(*calls))
    assert statuses == {201: 1, 409: 5}
    assert RunDetails.objects.filter(previous_run_id=run_id).count() == 1


def test_rate__holds_over_calls_at_once(house: House) -> None:
    desk = desk_of(house)
    agent, run_id = desk.agent(house), queued(desk, house)
    identity = {"X-AGH-Session-ID": agent.session_id, "X-AGH-Agent": agent.name}
    calls = [
        partial(Caller(desk.caller.key).post, f"/api/runs/{run_id}/release", {}, **identity)
        for _ in range(16)
    ]
    statuses = Counter(answer.status_code for answer in together(*calls))
    assert statuses == {409: 10, 429: 6}


def test_drain__leaves_no_claim_that_began_before_it(house: House) -> None:
    desk = desk_of(house)
    agents = [desk.agent(house, f"s-{number}") for number in range(6)]
    for _ in range(TRIES):
        desk.post("/scheduler/resume")
        for _ in agents:
            queued(desk, house)
        callers = [Agent(Caller(desk.caller.key), one.session_id, one.name) for one in agents]
        drain = partial(other(desk).post, "/scheduler/drain", timeout_seconds=0)
        answer, *claims = together(drain, *(one.claim for one in callers))
        held = Run.objects.filter(status__in=RUN_HELD)
        assert answer.json()["remaining_claims"] == held.count()
        assert held.count() == sum(claim.status_code == 200 for claim in claims)
        for run in list(held):
            assert desk.post(f"/runs/{run.id}/release").status_code == 200
        assert all(one.claim().status_code == 204 for one in agents)
