"""Calls of operators on one run at the same time, and beside its sessions."""

from functools import partial
from typing import Any

from apps.agents.models import OPERATORS, AgentSession
from apps.agents.models import Agent as AgentRow
from apps.pools.models import Worker
from apps.tasks.models import RUN_HELD, Run
from tests.agent_steps import Agent
from tests.concurrency.together import queued_up, together
from tests.factories import Caller, House
from tests.operator_steps import Desk, desk_of
from tests.probes import assert_events_are_gap_free, assert_loads_are_true


def another(desk: Desk) -> Desk:
    """Return the same key with a client of its own."""
    return Desk(Caller(desk.caller.key))


def status(desk: Desk, run_id: str, verb: str, **body: Any) -> int:
    """Return the status of a call on a run."""
    answer = another(desk).post(f"/task-runs/{run_id}/{verb}", **body)
    return int(answer.status_code)


def queued(desk: Desk) -> str:
    run_id: str = desk.started(desk.task()["id"])["id"]
    return run_id


def at_rest() -> None:
    assert_loads_are_true()
    assert_events_are_gap_free()


def test_claims_of_one_run__one_gets_it(house: House) -> None:
    desk = desk_of(house)
    run_id = queued(desk)
    calls = [partial(status, desk, run_id, "claim")] * 6
    assert sorted(together(*calls)) == [200] + [409] * 5
    at_rest()


def test_first_claims_of_an_organisation__are_by_one_worker(house: House) -> None:
    desk = desk_of(house)
    runs = [queued(desk) for _ in range(6)]
    calls = [partial(status, desk, run_id, "claim") for run_id in runs]
    assert together(*calls) == [200] * 6
    agent = AgentRow.objects.get(name=OPERATORS)
    assert Worker.objects.filter(name="Operators").count() == 1
    assert Run.objects.filter(status="claimed", worker_id=agent.worker_id).count() == 6
    at_rest()


def test_claim_beside_claim_next__one_gets_the_run(house: House) -> None:
    desk = desk_of(house)
    agent = desk.agent()
    for _ in range(10):
        run_id = queued(desk)
        by_agent = partial(_claim_next, agent)
        own, other = together(partial(status, desk, run_id, "claim"), by_agent)
        assert (own, other) in {(200, 204), (409, 200)}
        assert Run.objects.filter(status__in=RUN_HELD).count() == 1
        assert status(desk, run_id, "cancel") == 200
    at_rest()


def _claim_next(agent: Agent) -> int:
    return int(Agent(Caller(agent.caller.key), agent.session_id).claim().status_code)


def test_attaching_one_session_to_two_runs__binds_it_once(house: House) -> None:
    desk = desk_of(house)
    desk.agent()
    runs = [queued(desk), queued(desk)]
    for run_id in runs:
        assert status(desk, run_id, "claim") == 200
    calls = [partial(status, desk, run, "attach-session", session_id="s-1") for run in runs]
    assert sorted(together(*calls)) == [200, 409]
    assert Run.objects.filter(status="starting").count() == 1


def test_attaching_a_session_that_claims__it_gets_one_run(house: House) -> None:
    desk = desk_of(house)
    agent = desk.agent()
    run_id = queued(desk)
    assert status(desk, run_id, "claim") == 200
    queued(desk)
    session = AgentSession.objects.get()
    attach = partial(status, desk, run_id, "attach-session", session_id="s-1")
    claim = partial(_claim_next, agent)
    with queued_up(attach, claim, behind="agents_agentsession", key=session.id) as waiting:
        pass
    assert [future.result() for future in waiting] == [200, 409]
    assert status(desk, run_id, "cancel") == 200
    run_id = queued(desk)
    assert status(desk, run_id, "claim") == 200
    attach = partial(status, desk, run_id, "attach-session", session_id="s-1")
    with queued_up(claim, attach, behind="agents_agentsession", key=session.id) as waiting:
        pass
    assert [future.result() for future in waiting] == [200, 409]
    at_rest()


def test_ends_of_one_run__one_counts(house: House) -> None:
    desk = desk_of(house)
    for _ in range(5):
        run_id = queued(desk)
        assert status(desk, run_id, "claim") == 200
        assert status(desk, run_id, "start") == 200
        answers = together(
            partial(status, desk, run_id, "complete"),
            partial(status, desk, run_id, "fail", error="No line"),
            partial(status, desk, run_id, "cancel"),
        )
        assert sorted(answers) == [200, 409, 409]
        assert not AgentSession.objects.filter(state="active").exists()
    at_rest()


def test_stopping_a_session_beside_complete__leaves_nothing_held(house: House) -> None:
    desk = desk_of(house)
    for number in range(8):
        run_id, name = queued(desk), f"s-{number}"
        desk.agent(session_id=name)
        assert status(desk, run_id, "claim") == 200
        assert status(desk, run_id, "attach-session", session_id=name) == 200
        assert status(desk, run_id, "start") == 200
        completed, stopped = together(
            partial(status, desk, run_id, "complete"), partial(_stop, desk, name)
        )
        assert (completed, stopped) in {(200, 204), (409, 204)}
        run = Run.objects.get(id=run_id)
        assert run.status == ("completed" if completed == 200 else "queued")
    at_rest()


def _stop(desk: Desk, name: str) -> int:
    return int(another(desk).caller.delete(f"/v1/agent-sessions/{name}").status_code)
