"""Claims that wait in the ASGI process, as in production: without a thread or a connection."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.agent_steps import Agent, agent_of, for_pool, operator, queue_many, registered
from tests.api.agh_contract import answer_faults
from tests.factories import House
from tests.streaming import TLS, StreamServer, stream_server

PATH = "/api/agent/tasks/claim-next"
WAITERS = 12


@pytest.fixture
def server(house: House) -> Iterator[StreamServer]:
    with stream_server() as running:
        yield running


def claim(server: StreamServer, agent: Agent, **body: Any) -> httpx.Response:
    headers = {
        "Authorization": f"Bearer {agent.caller.key}",
        "X-AGH-Session-ID": agent.session_id,
        "X-AGH-Agent": agent.name,
    }
    return httpx.post(server.url + PATH, json=body, headers=headers, timeout=40, verify=TLS)


def test_claim__answers_as_the_web_process_does(house: House, server: StreamServer) -> None:
    agent = agent_of(house)
    assert claim(server, agent).status_code == 204
    assert claim(server, Agent(agent.caller, "s-7")).status_code == 401
    assert claim(server, agent, lease_seconds=-1).json() == (agent.claim(lease_seconds=-1).json())
    for_pool(house)
    answer = claim(server, agent, wait=True)
    assert answer.status_code == 200
    assert answer_faults("claimNextAgentTask", answer.json()) == []


def test_wait__for_as_many_as_like_to(house: House, server: StreamServer) -> None:
    caller, pool = operator(house), str(house.pool.id)
    agents = [registered(caller, f"s-{n}", workspace_id=pool) for n in range(WAITERS)]
    with ThreadPoolExecutor(WAITERS) as threads:
        calls = [threads.submit(claim, server, agent, wait=True) for agent in agents]
        time.sleep(2)
        assert not any(call.done() for call in calls)
        queue_many(house, WAITERS)
        answers = [call.result(30) for call in calls]
    runs = {answer.json()["claim"]["run"]["id"] for answer in answers}
    assert len(runs) == WAITERS
    assert {answer.headers["Content-Type"] for answer in answers} == {"application/json"}
    assert all("RateLimit" in answer.headers for answer in answers)


def test_wait__ends_with_the_session(house: House, server: StreamServer) -> None:
    agent = agent_of(house)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(claim, server, agent, wait=True)
        time.sleep(1)
        agent.caller.delete("/v1/agent-sessions/s-1")
        for_pool(house)
        answer = call.result(30)
    assert answer.status_code == 401
    assert answer.json()["diagnostic"]["code"] == "identity_stale"
