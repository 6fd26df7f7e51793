"""An agent is killed while it holds a run, or the service while it answers: no run is lost.

The agent and the web process are real ones, killed by `kill -9`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.agents.models import AgentClaim
from apps.events.models import Event
from apps.pools.models import Worker
from apps.tasks.models import Run, Task
from apps.timers.services import fire_due
from tests.agent_steps import Agent, agent_of, for_pool
from tests.factories import OUTPUT, House
from tests.faults.agent_worker import LEASE_SECONDS
from tests.faults.installation import PROJECT, eventually
from tests.faults.test_idempotency_kills import web
from tests.probes import assert_events_are_gap_free
from tests.streaming import TLS

AGENT = "tests.faults.agent_worker"


@contextmanager
def working(url: str, agent: Agent, log: Path) -> Iterator[str]:
    """Run an agent until it has claimed a run; yield the run's id, then end it by `kill -9`."""
    command = [sys.executable, "-m", AGENT, url, agent.session_id, agent.name]
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, "AGENT_KEY": agent.caller.key},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, log.read_text(errors="replace")[-4000:]
            yield str(json.loads(line)["id"])
            assert process.poll() is None, "the agent ended before it was killed"
        finally:
            process.kill()


def lapsed(run_id: str) -> bool:
    fire_due()
    return Run.objects.get(id=run_id).status == "queued"


def test_agent_killed_between_claim_and_completion__another_session_does_the_run(
    house: House, tmp_path: Path
) -> None:
    # Given a task, and two sessions of one agent
    task = for_pool(house)
    first, second = agent_of(house, "s-1"), agent_of(house, "s-2")
    with web(tmp_path / "web.log") as url:
        # When the process of the first is killed after its claim
        with working(url, first, tmp_path / "agent.log") as run_id:
            assert Run.objects.get(id=run_id).status == "claimed"
        assert second.claim().status_code == 204
        # Then the lease lapses, the run is queued again, and the second one does it
        eventually(lambda: lapsed(run_id), seconds=LEASE_SECONDS + 5, what="the lease lapses")
        assert Task.objects.get().status == "queued"
        assert Worker.objects.get(kind="agent").load == 0
        assert second.claimed()["run"]["id"] == run_id
        # And what the first one may still send, started again, is refused
        for verb in ("heartbeat", "complete", "fail", "release"):
            late = first.on(run_id, verb, result={"late": True}, error="late")
            assert late.status_code == 409, late.content
            assert late.json()["diagnostic"]["code"] == "autonomy_lease_expired"
        assert second.on(run_id, "complete", result=OUTPUT).status_code == 200
        late = first.on(run_id, "complete", result={"late": True})
        assert late.json()["diagnostic"]["code"] == "autonomy_lease_expired"
    run = Run.objects.get()
    assert (run.task_id, run.status, run.attempt, run.epoch) == (task.id, "completed", 1, 2)
    assert run.output == OUTPUT
    assert Task.objects.get().status == "submitted"
    assert first.claim().status_code == 204
    ends = AgentClaim.objects.order_by("epoch").values_list("session__session_id", "end")
    assert list(ends) == [("s-1", "lost"), ("s-2", "completed")]
    types = Event.objects.order_by("sequence").values_list("type", flat=True)
    assert list(types).count("task.submitted") == 1
    assert_events_are_gap_free()


def test_service_killed_between_commit_and_answer__the_same_key_gets_the_same_claim(
    house: House, tmp_path: Path
) -> None:
    for_pool(house)
    agent = agent_of(house)

    def claim(url: str, **headers: str) -> Any:
        identity = {"X-AGH-Session-ID": agent.session_id, "X-AGH-Agent": agent.name}
        return httpx.post(
            f"{url}/api/agent/tasks/claim-next",
            json={"idempotency_key": "claim-1"},
            headers={"Authorization": f"Bearer {agent.caller.key}", **identity, **headers},
            timeout=60,
            verify=TLS,
        )

    with web(tmp_path / "web.log") as url, pytest.raises(httpx.TransportError):
        claim(url, **{"X-Kill": "1"})
    stored = AgentClaim.objects.get()
    with web(tmp_path / "web.log") as url:
        answers = [claim(url) for _ in range(2)]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert answer.json()["claim"]["run"]["id"] == str(stored.run_id)
    assert AgentClaim.objects.get().epoch == Run.objects.get().epoch == 1
    assert Run.objects.get().status == "claimed"
