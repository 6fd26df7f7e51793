"""One task for each `Idempotency-Key`, whatever happens to the processes and the connections.

The web process is the service's own, with its own command line.
"""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection

from apps.api.models import IdempotencyKey
from apps.events.models import Event
from apps.tasks.models import Task
from config.processes import web_command
from tests.factories import House, contract
from tests.faults.installation import PROJECT, eventually, free_port
from tests.streaming import TLS

PARALLEL = 100
STOP_SECONDS = 10.0


@contextmanager
def web(log: Path) -> Iterator[str]:
    """Run the web process in the database of the test, and yield its URL."""
    port = free_port()
    command = list(web_command(host="127.0.0.1", port=port))
    command[command.index("config.wsgi:application")] = "tests.faults.killed_web:application"
    environment = {**os.environ, "WEB_DATABASE": str(connection.settings_dict["NAME"])}
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: is_up(url), seconds=30, what="the web process answers")
        yield url
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_up(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/livez", verify=TLS).status_code == 200
    return False


def create(url: str, house: House, body: dict[str, Any], **headers: str) -> httpx.Response:
    """Create a task with the key k-1."""
    return httpx.post(
        f"{url}/v1/tasks",
        json=body,
        headers={"Authorization": f"Bearer {house.alice.key}", "Idempotency-Key": "k-1", **headers},
        timeout=60,
        verify=TLS,
    )


BODIES = {
    "plain": contract(),
    "with a natural key": contract(origin={"product": "threatlabs", "request_id": "IR-1"}),
    # Checked by queries first, and written in a transaction.
    "with an escalation": contract(
        requirements={"escalation": {"steps": [{"after_seconds": 60, "notify": True}]}}
    ),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_killed_between_commit_and_answer__the_retry_gets_the_same(
    house: House, tmp_path: Path, body: dict[str, Any]
) -> None:
    with web(tmp_path / "web.log") as url, pytest.raises(httpx.TransportError):
        create(url, house, body, **{"X-Kill": "1"})
    task = Task.objects.get()
    stored = IdempotencyKey.objects.get()
    with web(tmp_path / "web.log") as url:
        answers = [create(url, house, body) for _ in range(2)]
    for answer in answers:
        assert (answer.status_code, answer.headers["Idempotency-Replayed"]) == (201, "true")
        assert answer.headers["Location"] == f"/v1/tasks/{task.id}"
        assert answer.content == bytes(stored.body)
    assert Task.objects.count() == Event.objects.count() == IdempotencyKey.objects.count() == 1


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_100_parallel_posts__create_one_task(
    house: House, tmp_path: Path, body: dict[str, Any]
) -> None:
    with web(tmp_path / "web.log") as url, ThreadPoolExecutor(PARALLEL) as threads:
        calls = [threads.submit(create, url, house, body) for _ in range(PARALLEL)]
        answers = [call.result() for call in calls]
        # A call that came while the first one was running is refused, and may be sent again.
        while refused := [answer for answer in answers if answer.status_code == 409]:
            assert {answer.json()["code"] for answer in refused} == {"idempotency_in_flight"}
            answers = [answer for answer in answers if answer.status_code != 409]
            answers += [create(url, house, body) for _ in refused]
    replays = Counter(answer.headers.get("Idempotency-Replayed", "false") for answer in answers)
    assert {answer.status_code for answer in answers} == {201}
    assert replays == {"false": 1, "true": PARALLEL - 1}
    assert len({answer.content for answer in answers}) == 1
    assert Task.objects.count() == Event.objects.count() == IdempotencyKey.objects.count() == 1
