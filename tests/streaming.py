"""Run the ASGI process on the tests' database, and read Server-Sent Events."""

import json
import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.db import connection

from config import embedded
from config.processes import stream_command
from tests.faults.installation import free_port

PROJECT = Path(__file__).resolve().parents[1]
START_SECONDS = 30.0

# Shared: each new context would read the certificates again.
TLS = ssl.create_default_context()
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class StreamServer:
    url: str
    pid: int


@contextmanager
def stream_server(**environment: str) -> Iterator[StreamServer]:
    """Run the process while the block runs, and wait until it responds."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            stream_command(host="127.0.0.1", port=port),
            cwd=PROJECT,
            env={**_environment(), **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(process, url)
            yield StreamServer(url, process.pid)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()
            process.wait()
            log.seek(0)
            print(log.read().decode(errors="replace")[-4000:])


def _environment() -> dict[str, str]:
    url = os.environ.get("DATABASE_URL") or embedded.database_url(settings.BIOLAYER_HOME)
    return {
        **os.environ,
        "DATABASE_URL": urlsplit(url)
        ._replace(path=f"/{connection.settings_dict['NAME']}")
        .geturl(),
        "SECRET_KEY": settings.SECRET_KEY,
        "ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
        "ALLOWED_HOSTS": "*",
    }


def _wait_for(process: "subprocess.Popen[bytes]", url: str) -> None:
    ends = time.monotonic() + START_SECONDS
    while True:
        with suppress(httpx.TransportError):
            httpx.get(f"{url}/healthz", timeout=5, verify=TLS).raise_for_status()
            return
        assert process.poll() is None, "the stream process ended at once"
        assert time.monotonic() < ends, "the stream process does not answer"
        time.sleep(0.05)


@dataclass(frozen=True)
class Frame:
    """Hold one frame of a stream: comment, ID, event; missing fields are empty."""

    comment: str
    id: str
    event: str
    data: Any


@contextmanager
def listening(
    url: str, key: str, *, last_id: str | None = None, **query: str
) -> Iterator[Iterator[Frame]]:
    """Yield the frames of a stream, which is closed with the block."""
    headers = {"Authorization": f"Bearer {key}"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    address = f"{url}/v1/events/stream"
    with httpx.stream(
        "GET", address, params=query, headers=headers, timeout=20, verify=TLS
    ) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["Content-Type"] == "text/event-stream"
        yield frames_of(response.iter_lines())


def frames_of(lines: Iterator[str]) -> Iterator[Frame]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name or "comment"] = value.removeprefix(" ")
            continue
        data = json.loads(fields["data"]) if "data" in fields else None
        yield Frame(fields.get("comment", ""), fields.get("id", ""), fields.get("event", ""), data)
        fields = {}
