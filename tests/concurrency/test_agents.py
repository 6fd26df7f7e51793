"""Many sessions that claim at once, sessions that end meanwhile, and connections that are cut."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from apps.accounts.principal import Principal
from apps.agents import services
from apps.agents.models import AgentClaim, AgentSession
from apps.agents.services import ClaimRequest
from apps.base import clock
from apps.events.models import Event
from apps.tasks.models import RUN_HELD, Run, Task
from biolayer.errors import IdentityStale, SessionLeaseExpired
from tests.agent_steps import Agent, agent_of, for_pool, operator, queue_many, registered
from tests.concurrency.test_races import everything_holds
from tests.concurrency.test_reviews import Killer
from tests.concurrency.together import queued_up, together
from tests.factories import OUTPUT, Caller, House

THREADS = 20
TASKS = 500
CUT_TASKS = 200


def sessions_of(house: House, count: int, *, agents: int) -> list[Agent]:
    """Return new sessions of some agents, each with a client of its own."""
    caller, pool = operator(house), str(house.pool.id)
    return [
        registered(Caller(caller.key), f"s-{n}", name=f"agent-{n % agents}", workspace_id=pool)
        for n in range(count)
    ]


def claiming(agent: Agent, runs: "Counter[str]") -> None:
    """Claim and complete until nothing is queued."""
    while True:
        answer = agent.claim()
        if answer.status_code == 204:
            if not Task.objects.filter(status="queued").exists():
                return
            continue
        run_id = answer.json()["claim"]["run"]["id"]
        runs[run_id] += 1
        assert agent.on(run_id, "complete", result=OUTPUT).status_code == 200


def test_registering_twice_at_once__is_one_session(house: House) -> None:
    caller = operator(house)
    body = {"session_id": "s-1", "agent_name": "drafter", "pool_id": str(house.pool.id)}
    answers = together(*[lambda: Caller(caller.key).post("/v1/agent-sessions", body)] * 6)
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert AgentSession.objects.count() == 1


def test_twenty_threads__no_task_is_claimed_twice(house: House) -> None:
    queue_many(house, TASKS)
    runs: Counter[str] = Counter()
    agents = sessions_of(house, THREADS, agents=5)
    together(*(partial(claiming, agent, runs) for agent in agents))
    assert runs == dict.fromkeys(map(str, Run.objects.values_list("id", flat=True)), 1)
    assert len(runs) == TASKS
    accepted = Event.objects.filter(type="task.accepted").values_list("task_id", flat=True)
    assert set(Counter(accepted).values()) == {1}
    assert set(Task.objects.values_list("status", flat=True)) == {"submitted"}
    assert Counter(AgentClaim.objects.values_list("end", flat=True)) == {"completed": TASKS}
    # None was starved by the others.
    by_session = Counter(AgentClaim.objects.values_list("session_id", flat=True))
    assert len(by_session) == THREADS
    everything_holds()


# --- connections that are cut ---------------------------------------------------------------------


def persisting(actor: Principal, session: AgentSession, done: "Counter[UUID]") -> None:
    """Claim and complete until nothing is queued or held; after a cut, send the same again."""
    number = 0
    while Task.objects.filter(status__in=["queued", "accepted", "started"]).exists():
        number += 1
        request = ClaimRequest(idempotency_key=f"k-{number}")
        made = again(
            lambda request=request: services.claim_next(
                actor=actor, session=session, request=request, at=clock.now()
            )
        )
        if made is not None:
            again(partial(completed, actor, session, made.run.id))
            done[made.run.id] += 1


def completed(actor: Principal, session: AgentSession, run_id: UUID) -> None:
    try:
        services.complete_claim(
            actor=actor, session=session, run_id=run_id, result=OUTPUT, at=clock.now()
        )
    except SessionLeaseExpired:
        # A cut after the commit has lost the answer only.
        assert Run.objects.get(id=run_id).status == "completed"


def again(call: Callable[[], Any]) -> Any:
    """Return what the call returns, made again after each cut."""
    while True:
        try:
            return call()
        except (OperationalError, InterfaceError):
            connection.close()


def test_cut_connections__nothing_is_done_twice_or_lost(house: House) -> None:
    queue_many(house, CUT_TASKS)
    agents = sessions_of(house, 10, agents=3)
    actor = agents[0].caller.principal
    done: Counter[UUID] = Counter()
    killer = Killer()
    killer.start()
    try:
        together(
            *(
                lambda row=row: again(partial(persisting, actor, row, done))
                for row in AgentSession.objects.all()
            )
        )
    finally:
        killer.ended.set()
        killer.join()
    assert killer.cut > 0
    assert set(Task.objects.values_list("status", flat=True)) == {"submitted"}
    claims = AgentClaim.objects.values_list("run_id", "end")
    assert Counter(claims) == dict.fromkeys(
        ((run_id, "completed") for run_id in Run.objects.values_list("id", flat=True)), 1
    )
    assert max(done.values()) == 1
    everything_holds()


# --- one session ----------------------------------------------------------------------------------


def test_two_claims_of_a_session__one_gets_a_run(house: House) -> None:
    for _ in range(5):
        for_pool(house)
    agent = agent_of(house)

    def claim() -> int:
        client = Agent(Caller(agent.caller.key), agent.session_id)
        return int(client.claim().status_code)

    session = AgentSession.objects.get()
    with queued_up(claim, claim, behind="agents_agentsession", key=session.id) as waiting:
        pass
    assert [future.result() for future in waiting] == [200, 409]
    assert AgentClaim.objects.count() == 1
    everything_holds()


def test_two_claims_with_one_key__are_one_claim(house: House) -> None:
    for _ in range(5):
        for_pool(house)
    agent = agent_of(house)

    def claim() -> str:
        client = Agent(Caller(agent.caller.key), agent.session_id)
        run_id: str = client.claimed(idempotency_key="k")["run"]["id"]
        return run_id

    assert len(set(together(claim, claim, claim))) == 1
    everything_holds()


def test_stop_races_claim_and_complete__nothing_stays_held(house: House) -> None:
    for round_number in range(15):
        for_pool(house)
        agent = agent_of(house, f"s-{round_number}")
        if round_number % 2:
            agent.claim()
        together(partial(stop, agent), partial(use, agent))
        assert not Run.objects.filter(status__in=RUN_HELD).exists()
        assert not AgentClaim.objects.filter(ended_at=None).exists()
    everything_holds()


def stop(agent: Agent) -> None:
    operator_caller = Caller(agent.caller.key)
    answer = operator_caller.delete(f"/v1/agent-sessions/{agent.session_id}")
    assert answer.status_code == 204, answer.content


def use(agent: Agent) -> None:
    client = Agent(Caller(agent.caller.key), agent.session_id)
    answer = client.claim()
    held = Run.objects.filter(status__in=RUN_HELD).first()
    if held is not None:
        answer = client.on(str(held.id), "complete", result=OUTPUT)
    assert answer.status_code in (200, 204, 401, 409), answer.content


def test_claim_behind_a_stop__is_stale(house: House) -> None:
    for_pool(house)
    agent = agent_of(house)
    session = AgentSession.objects.get()
    actor = agent.caller.principal

    def stopped() -> str:
        return str(services.stop_session(actor=actor, name="s-1", at=clock.now()).state)

    def claim() -> str:
        try:
            services.claim_next(
                actor=actor, session=session, request=ClaimRequest(), at=clock.now()
            )
        except IdentityStale as refusal:
            return refusal.code
        return "claimed"

    with queued_up(stopped, claim, behind="agents_agentsession", key=session.id) as waiting:
        pass
    assert [future.result() for future in waiting] == ["stopped", "identity_stale"]
    everything_holds()
