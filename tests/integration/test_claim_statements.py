"""How many statements a session's calls send: what makes claims fast is that they are few."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from apps.accounts.principal import Principal
from apps.agents.models import AgentClaim, AgentSession
from apps.agents.services import Claim, ClaimRequest, claim_next, complete_claim, heartbeat_claim
from apps.base import clock
from apps.events.models import Event
from apps.tasks.models import Run
from tests.factories import House
from tests.operator_steps import Desk, desk_of
from tests.probes import assert_events_are_gap_free

# Lock the session, lock the run, write; lock, end the claim, write.
SERVICE = 3
# And before that the credential and the session, after it what the answer shows.
CALL = SERVICE + 3


def prepared(house: House, count: int) -> tuple[Desk, Any]:
    """Return a session that has called a moment ago, with queued runs for it."""
    desk = desk_of(house)
    agent = desk.agent(house)
    for _ in range(count + 1):
        task = desk.task(scope="workspace", workspace=house.pool.name)
        desk.started(task["id"])
    run_id = agent.claimed()["run"]["id"]
    assert agent.on(run_id, "complete", result={}).status_code == 200
    return desk, agent


def sent(call: Callable[[], Any]) -> tuple[Any, int]:
    """Return what a call returns, and how many statements it sent besides BEGIN and COMMIT."""
    with CaptureQueriesContext(connection) as captured:
        result = call()
    texts = [query["sql"] for query in captured.captured_queries]
    return result, len([text for text in texts if text not in ("BEGIN", "COMMIT")])


def test_services__send_three_statements_each(house: House) -> None:
    desk, _ = prepared(house, 1)
    actor, session, at = desk.caller.principal, AgentSession.objects.get(), clock.now()
    made, count = sent(
        lambda: claim_next(actor=actor, session=session, request=ClaimRequest(), at=at)
    )
    assert made is not None
    assert count <= SERVICE
    call = {"actor": actor, "session": session, "run_id": made.run.id}
    _, count = sent(lambda: heartbeat_claim(**call, lease_seconds=60, at=at))
    assert count <= SERVICE
    _, count = sent(lambda: complete_claim(**call, result={"done": True}, at=at))
    assert count <= SERVICE
    run = Run.objects.select_related("task").get(id=made.run.id)
    assert (run.status, run.task.status, run.task.output) == (
        "completed",
        "completed",
        {"done": True},
    )


def test_calls__send_six_statements_each(house: House) -> None:
    _, agent = prepared(house, 1)
    claimed, count = sent(agent.claimed)
    assert count <= CALL
    run_id = claimed["run"]["id"]
    for verb, body in (("heartbeat", {}), ("complete", {"result": {}})):
        answer, count = sent(lambda verb=verb, body=body: agent.on(run_id, verb, **body))
        assert answer.status_code == 200
        assert count <= CALL


def test_nothing_to_claim__is_told_by_a_few_statements(house: House) -> None:
    desk, _ = prepared(house, 0)
    actor, session, at = desk.caller.principal, AgentSession.objects.get(), clock.now()
    made, count = sent(
        lambda: claim_next(actor=actor, session=session, request=ClaimRequest(), at=at)
    )
    assert made is None
    assert count <= 5


def test_lease__that_is_just_renewed_is_not_taken_for_lost(house: House) -> None:
    desk, _ = prepared(house, 1)
    actor, session, at = desk.caller.principal, AgentSession.objects.get(), clock.now()
    request = ClaimRequest(lease_seconds=60, idempotency_key="again")
    made = claim_next(actor=actor, session=session, request=request, at=at)
    assert made is not None

    def claim_again() -> Claim | None:
        try:
            late = at + timedelta(seconds=61)
            return claim_next(actor=actor, session=session, request=request, at=late)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            before = at + timedelta(seconds=59)
            call = {"actor": actor, "session": session, "run_id": made.run.id}
            heartbeat_claim(**call, lease_seconds=60, at=before)
            waiting = thread.submit(claim_again)
            # It has read the lease that is about to be renewed.
            time.sleep(0.5)
            assert not waiting.done()
        again = waiting.result(20)
    assert again is not None
    assert again.claim.token_hash == made.claim.token_hash
    assert AgentClaim.objects.get(run_id=made.run.id).ended_at is None


def test_events_of_one_statement__stay_behind_those_before_them(house: House) -> None:
    """A completion gets its transaction's id before another one writes the claim's event."""
    desk, _ = prepared(house, 1)
    actor, session = desk.caller.principal, AgentSession.objects.get()
    with transaction.atomic(), ThreadPoolExecutor(1) as thread:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
        made = thread.submit(claimed_elsewhere, actor, session).result(20)
        complete_claim(actor=actor, session=session, run_id=made.run.id, result={}, at=clock.now())
    events = Event.objects.filter(task_id=made.run.task_id).order_by("sequence")
    assert list(events.values_list("type", flat=True)) == [
        "task.created",
        "task.accepted",
        "task.started",
        "task.submitted",
        "task.verified",
        "task.completed",
    ]
    xids = [int(xid) for xid in events.values_list("xid", flat=True)]
    # Those of the completion would have a smaller one by themselves.
    assert xids[0] < xids[1]
    assert xids[1:] == [xids[1]] * 5
    assert list(events.order_by("id").values_list("sequence", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert_events_are_gap_free()


def claimed_elsewhere(actor: Principal, session: AgentSession) -> Claim:
    try:
        made = claim_next(actor=actor, session=session, request=ClaimRequest(), at=clock.now())
    finally:
        connections.close_all()
    assert made is not None
    return made
