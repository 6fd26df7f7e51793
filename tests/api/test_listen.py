"""Test `python3 -m biolayer listen` with the real API."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connection
from standardwebhooks import Webhook

from apps.base import clock
from biolayer import signing
from biolayer.signing import new_secret
from tests.factories import House
from tests.receiver import Receiver, Reply
from tests.sandboxes import posted, run_drains, sandboxed

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 20
SIGNATURES = re.compile(r"v1,[A-Za-z0-9+/]{43}= v1a,[A-Za-z0-9+/]{86}==")


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """Log nothing."""

    def handle(self) -> None:
        super().handle()
        connection.close()


@pytest.fixture
def api() -> Iterator[str]:
    """Serve the API, and return its URL."""
    with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("is_test", [False, True], ids=["live", "sandbox"])
def test_listen__forwards_webhooks_that_libraries_verify(
    house: House, receiver: Receiver, api: str, is_test: bool
) -> None:
    caller = sandboxed(house) if is_test else house.alice
    task_id = posted(caller)["task_id"] if is_test else str(house.completed().id)
    run_drains()
    secret = new_secret()
    environment = {
        **os.environ,
        "BIOLAYER_URL": api,
        "BIOLAYER_API_KEY": caller.key,
        "BIOLAYER_WEBHOOK_SECRET": secret,
    }
    command = [sys.executable, "-m", "biolayer", "listen", "--after", "beginning"]
    command += ["--types", "task.created,task.completed", "--forward", f"{receiver.url}/hook"]
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
    ) as listening:
        guard = threading.Timer(SECONDS, listening.kill)
        guard.start()
        assert listening.stdout is not None
        said = [listening.stdout.readline() for _ in range(5)]
        guard.cancel()
        listening.kill()
    assert secret in said[1]
    assert "task.created" in said[3]
    assert "204 in" in said[3]
    bodies = [json.loads(request.body) for request in receiver.received]
    assert [body["type"] for body in bodies] == ["task.created", "task.completed"]
    assert all(body["data"]["task_id"] == task_id for body in bodies)
    assert bodies[1]["data"]["output"]["reached_user"] is True
    public = re.search(r"whpk_\S+", said[2])
    assert public is not None
    for request in receiver.received:
        assert Webhook(secret).verify(request.body, request.headers)
        # Like a real delivery: both kinds of signature, and an ID of the same form.
        assert SIGNATURES.fullmatch(request.headers["webhook-signature"])
        assert re.fullmatch(r"msg_[0-9a-f]{32}", request.headers["webhook-id"])
        assert request.headers["user-agent"] == "BioLayer-Webhooks/1"
        assert request.headers.get("biolayer-sandbox") == ("true" if is_test else None)
        signing.verify(
            secrets=[public[0]], headers=request.headers, body=request.body, now=clock.now()
        )


def test_listen__retries_failures(house: House, receiver: Receiver, api: str) -> None:
    house.task()
    receiver.reply = lambda _: Reply(500)
    said = heard(api, house.alice.key, receiver, lines=5)
    assert "500 in" in said[3]
    assert said[3].rstrip().endswith("; retrying in 1 s")
    ids = [request.headers["webhook-id"] for request in receiver.received]
    assert len(ids) >= 2
    assert len({*ids}) == 1


def test_listen__reports_errors_of_configuration_first(
    house: House, receiver: Receiver, api: str
) -> None:
    refused = ended(api, "bl_live_unknown", receiver.url)
    assert refused.stdout == ""
    assert "401 unauthenticated" in refused.stderr
    assert "BIOLAYER_API_KEY is not a key of" in refused.stderr
    away = ended("http://127.0.0.1:9", house.alice.key, receiver.url)
    assert away.stdout == ""
    assert "Cannot connect to http://127.0.0.1:9" in away.stderr
    assert "BIOLAYER_URL" in away.stderr
    assert "Errno" not in away.stderr.split("(")[0]


def test_listen__needs_complete_urls(house: House, api: str) -> None:
    refused = ended(api, house.alice.key, "localhost:3000/hook")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--forward must begin with http:// or https://" in refused.stderr
    assert "BIOLAYER_URL must" in ended("127.0.0.1:8000", house.alice.key, "http://x/").stderr


def test_help__has_a_line_for_each_variable() -> None:
    command = [sys.executable, "-m", "biolayer", "--help"]
    shown = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in "BIOLAYER_API_KEY", "BIOLAYER_URL", "BIOLAYER_WEBHOOK_SECRET":
        assert any(line.strip().startswith(name) for line in shown.splitlines())


def environment_of(api: str, key: str) -> dict[str, str]:
    return {**os.environ, "BIOLAYER_URL": api, "BIOLAYER_API_KEY": key}


def ended(api: str, key: str, forward: str) -> "subprocess.CompletedProcess[str]":
    """Run `listen` until it exits, and return its output."""
    command = [sys.executable, "-m", "biolayer", "listen", "--forward", forward]
    return subprocess.run(
        command,
        cwd=PROJECT,
        env=environment_of(api, key),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def heard(api: str, key: str, receiver: Receiver, *, lines: int) -> list[str]:
    """Return the first lines of `listen` about all events so far."""
    command = [sys.executable, "-m", "biolayer", "listen", "--after", "beginning"]
    command += ["--forward", f"{receiver.url}/hook"]
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment_of(api, key), stdout=subprocess.PIPE, text=True
    ) as listening:
        guard = threading.Timer(SECONDS, listening.kill)
        guard.start()
        assert listening.stdout is not None
        said = [listening.stdout.readline() for _ in range(lines)]
        guard.cancel()
        listening.kill()
    return said
