"""`python -m biolayer listen`: webhooks on a developer's machine, over the real API."""

import json
import os
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

from biolayer.signing import new_secret
from tests.factories import House
from tests.receiver import Receiver

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 20


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def handle(self) -> None:
        super().handle()
        connection.close()


@pytest.fixture
def api() -> Iterator[str]:
    """The address of the API, served for real."""
    with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_listen__forwards_what_every_library_believes(
    house: House, receiver: Receiver, api: str
) -> None:
    task = house.completed()
    secret = new_secret()
    environment = {
        **os.environ,
        "BIOLAYER_URL": api,
        "BIOLAYER_API_KEY": house.alice.key,
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
        said = [listening.stdout.readline() for _ in range(4)]
        guard.cancel()
        listening.kill()
    assert secret in said[1]
    assert "task.created" in said[2]
    assert "204 in" in said[2]
    told = [json.loads(request.body) for request in receiver.received]
    assert [body["type"] for body in told] == ["task.created", "task.completed"]
    assert all(body["data"]["task_id"] == str(task.id) for body in told)
    assert told[1]["data"]["output"]["reached_user"] is True
    for request in receiver.received:
        assert Webhook(secret).verify(request.body, request.headers)
