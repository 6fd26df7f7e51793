"""Check what `make run` promises to a new user, on one installation."""

import json
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from standardwebhooks import Webhook

from biolayer import chain
from biolayer.client import Backend, Problem
from tests.factories import page_example
from tests.faults.installation import PROJECT, Installation, eventually, free_port, say
from tests.faults.test_kills import names_of
from tests.receiver import receiving

NINE = [
    "created",
    "queued",
    "matched",
    "offered",
    "accepted",
    "started",
    "submitted",
    "verified",
    "completed",
]
MEGABYTE = 1024 * 1024


def example(installation: Installation, callback_url: str, request_id: str) -> dict[str, Any]:
    body = page_example(
        org_id=installation.access["org_id"],
        pool_id=installation.access["pool_id"],
        callback_url=callback_url,
        deadline=datetime.now(UTC) + timedelta(hours=1),
    )
    body["origin"]["request_id"] = request_id
    return body


def completed(backend: Backend, task_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        task = backend.task(task_id)
        return task if task["status"] == "completed" else None

    task = eventually(look, seconds=30, what=f"task {task_id} is completed")
    assert task is not None
    return task


def test_create__of_the_example_is_completed(installation: Installation, backend: Backend) -> None:
    with receiving() as receiver:
        made = backend.create_task(**example(installation, f"{receiver.url}/hook", "IR-1"))
        task = completed(backend, made["task_id"])
        eventually(lambda: len(receiver.received) >= 9, seconds=15, what="nine callbacks")
    secret = installation.access["webhook_secret"]
    bodies = [Webhook(secret).verify(r.body, r.headers) for r in receiver.received]
    assert sorted(body["data"]["sequence"] for body in bodies) == list(range(1, 10))
    assert {r.headers["authorization"] for r in receiver.received} == {"Bearer redacted"}
    assert set(task["output"]) == {"reached_user", "user_confirmed", "notes"}
    log = list(backend.events(made["task_id"]))
    assert [event["status"] for event in log] == NINE
    assert chain.first_broken(log) is None


def test_inbox__shows_verified_callbacks(installation: Installation, backend: Backend) -> None:
    inbox = installation.access["inbox_url"]
    made = backend.create_task(**example(installation, f"{inbox}/hook", "IR-2"))
    completed(backend, made["task_id"])

    def arrived() -> list[Any]:
        callbacks = httpx.get(f"{inbox}/callbacks.json", trust_env=False).json()["data"]
        return [callback for callback in callbacks if made["task_id"] in json.dumps(callback)]

    eventually(lambda: len(arrived()) == 9, seconds=15, what="nine callbacks in the inbox")
    assert made["task_id"] in httpx.get(inbox, trust_env=False).text


def test_stream__sends_every_event_and_resumes_without_a_gap(
    installation: Installation, backend: Backend
) -> None:
    made = backend.create_task(**example(installation, "http://127.0.0.1:9/", "IR-3"))
    completed(backend, made["task_id"])
    first = read_stream(installation, count=4, last_id="", task_id=made["task_id"])
    rest = read_stream(installation, count=5, last_id=first[-1][0], task_id=made["task_id"])
    assert [event["status"] for _, event in first + rest] == NINE


def read_stream(
    installation: Installation, *, count: int, last_id: str, task_id: str
) -> list[tuple[str, dict[str, Any]]]:
    """Return the next events of a task with their ids, from the start or after `last_id`."""
    headers = {"Authorization": f"Bearer {installation.access['api_key']}"}
    headers |= {"Last-Event-ID": last_id} if last_id else {}
    events: list[tuple[str, dict[str, Any]]] = []
    event_id = ""
    url = f"{installation.access['stream_url']}/v1/events/stream?after=beginning"
    with httpx.stream("GET", url, headers=headers, timeout=20, trust_env=False) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            field, _, value = line.partition(": ")
            if field == "id":
                event_id = value
            elif field == "data" and json.loads(value)["task_id"] == task_id:
                events.append((event_id, json.loads(value)))
                if len(events) == count:
                    break
    return events


def test_stream__refused_without_a_credential(installation: Installation) -> None:
    url = f"{installation.access['stream_url']}/v1/events/stream"
    refused = httpx.get(url, trust_env=False)
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


def test_client__writes_messages(installation: Installation, backend: Backend) -> None:
    body = example(installation, "http://127.0.0.1:9/", "IR-6")
    body["requirements"]["skills"] = ["deep_sea_diving"]
    task_id = backend.create_task(**body)["task_id"]
    for text in ("Any news?", "It is urgent."):
        assert backend.post_message(task_id, text)["text"] == text
    assert [message["text"] for message in backend.messages(task_id)] == [
        "Any news?",
        "It is urgent.",
    ]
    backend.cancel_task(task_id)


def test_client__raises_every_fault(backend: Backend) -> None:
    with pytest.raises(Problem) as refusal:
        backend.create_task(title="", task_type="X")
    pointers = {fault.pointer for fault in refusal.value.faults}
    assert {"/title", "/task_type", "/domain", "/instructions", "/output/schema"} <= pointers


def test_command_line__posts_and_verifies(
    installation: Installation, backend: Backend, tmp_path: Path
) -> None:
    file = tmp_path / "task.json"
    file.write_text(json.dumps(example(installation, "http://127.0.0.1:9/", "IR-4")))
    made = json.loads(command(installation, "create", str(file)).stdout)
    completed(backend, made["task_id"])
    assert (
        "9 events, the chain is intact" in command(installation, "verify", made["task_id"]).stdout
    )
    missing = command(installation, "show", made["origin"]["org_id"])
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "404 not_found" in missing.stderr


def command(installation: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "BIOLAYER_URL": installation.access["base_url"],
        "BIOLAYER_API_KEY": installation.access["api_key"],
    }
    line = [sys.executable, "-m", "biolayer", *arguments]
    return subprocess.run(
        line, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )


def test_idle_processes__need_at_most_a_gigabyte(installation: Installation) -> None:
    up = psutil.Process(installation.up.pid)
    processes = [up, *up.children(recursive=True)]
    home = str(installation.home)
    processes += [p for p in psutil.process_iter() if home in " ".join(_command_line(p))]
    pss = {p.pid: p.memory_full_info().pss for p in processes if p.is_running()}
    assert sum(pss.values()) < 1024 * MEGABYTE


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_http__accepts_chunks_and_requires_a_host(installation: Installation) -> None:
    port = int(installation.access["base_url"].rpartition(":")[2])
    key = installation.access["api_key"].encode()
    body = json.dumps(example(installation, "http://127.0.0.1:9/", "IR-5")).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:100], body[100:]))
    head = b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % key
    head += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert exchanged(port, head + chunks + b"0\r\n\r\n").startswith(b"HTTP/1.1 201 ")
    for listening in port, int(installation.access["stream_url"].rpartition(":")[2]):
        assert exchanged(listening, b"GET /v1/events HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        ready = exchanged(listening, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert ready.startswith(b"HTTP/1.1 200 ")


def exchanged(port: int, request: bytes) -> bytes:
    """Return the first bytes of the response to a request."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(65_536)


def test_head__of_the_stream_returns_at_once(installation: Installation) -> None:
    url = f"{installation.access['stream_url']}/v1/events/stream"
    headers = {"Authorization": f"Bearer {installation.access['api_key']}"}
    response = httpx.head(url, headers=headers, timeout=5, trust_env=False)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "text/event-stream"


def test_log__has_a_line_for_each_request_but_the_polls_of_the_demo(
    installation: Installation, backend: Backend
) -> None:
    with pytest.raises(Problem):
        backend.task("nonsense")
    url = f"{installation.access['base_url']}/v1/tasks?limit=1"
    for agent, request_id in (("BioLayer-Demo", "of-the-demo"), ("curl/8", "of-a-client")):
        headers = {
            "Authorization": f"Bearer {installation.access['api_key']}",
            "User-Agent": agent,
            "X-Request-Id": request_id,
        }
        assert httpx.get(url, headers=headers, timeout=10, trust_env=False).status_code == 200
    # A line is written after its response.
    eventually(lambda: "of-a-client" in installation.log.read_text(), seconds=2, what="the line")
    lines = installation.log.read_text().splitlines()
    assert any("GET /v1/tasks/<str:task_id> 404 " in line for line in lines)
    assert any("GET /v1/tasks 200" in line and "of-a-client" in line for line in lines)
    assert not any("of-the-demo" in line for line in lines)


def test_processes__refused_when_the_port_is_in_use(installation: Installation) -> None:
    port = installation.access["base_url"].rpartition(":")[2]
    line = [sys.executable, "-m", "config.processes", "web"]
    environment = {"PATH": "/usr/bin:/bin", "HOST": "127.0.0.1", "PORT": port}
    second = subprocess.run(
        line, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert second.returncode == 1
    assert f"web cannot listen on 127.0.0.1:{port}" in second.stderr
    assert "set another PORT" in second.stderr


def test_installation__rotates_keys_and_ends_with_its_terminal() -> None:
    with Installation.running(workforce=False) as running:
        check_rotated_keys(running)
        before = running.processes()
        assert {"postgres", "redis-server"} <= set(names_of(before))
        assert running.interrupt(signal.SIGHUP) == 0
        say(f"{len(before)} processes have ended")
        assert running.processes() == []


def check_rotated_keys(installation: Installation) -> None:
    """Check that the demo's inbox verifies signatures of keys that are newer than its start."""
    access = installation.access
    with installation.backend() as backend:
        for kind in "v1", "v1a":
            body = {"kind": kind, "overlap_seconds": 0}
            backend.post("/v1/webhook-keys/rotate", json=body).raise_for_status()
        made = backend.post(
            "/v1/tasks", json=example(installation, f"{access['inbox_url']}/rotated", "IR-1")
        )

    def arrived() -> list[Any]:
        page = httpx.get(f"{access['inbox_url']}/callbacks.json", trust_env=False).json()
        task_id = made.json()["task_id"]
        return [callback for callback in page["data"] if callback["task_id"] == task_id]

    callbacks = eventually(arrived, seconds=30, what="a callback after the rotation")
    assert all(callback["verified"] for callback in callbacks)


def test_up__reports_in_one_line_why_it_cannot_start(
    installation: Installation, tmp_path: Path
) -> None:
    taken = installation.access["base_url"].rpartition(":")[2]
    busy = up(tmp_path / "home", "--port", taken)
    assert busy.returncode != 0
    assert f"port {taken} is in use" in one_line(busy)
    (tmp_path / "file").write_text("")
    refused = up(tmp_path / "file", "--port", str(free_port()))
    assert refused.returncode != 0
    assert "BIOLAYER_HOME" in one_line(refused)


def up(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "manage.py", "up", *arguments]
    environment = {"PATH": "/usr/bin:/bin", "BIOLAYER_HOME": str(home)}
    return subprocess.run(
        line, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    (line,) = (result.stdout + result.stderr).strip().splitlines()
    return line
