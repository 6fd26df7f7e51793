"""Send one request through a sender and return its result."""

import queue
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from apps.webhooks.http_client import AttemptResult, QueuedRequest, Request, Sender

DEADLINE = 1.0
POOL = UUID(int=1)


@dataclass(frozen=True)
class Sent:
    result: AttemptResult
    seconds: float


def queued(url: str, **fields: Any) -> QueuedRequest:
    built = request(url, **fields)
    return QueuedRequest(uuid4(), lambda: built)


def request(url: str, **fields: Any) -> Request:
    return Request(
        **{
            "connection_key": uuid4(),
            "url": url,
            "headers": {"Content-Type": "application/json"},
            "body": b"{}",
            "timeout_seconds": DEADLINE,
            **fields,
        }
    )


def send(sender: Sender, url: str, **fields: Any) -> Sent:
    """Send one request, wait for its result and check that there is only one."""
    attempt = queued(url, **fields)
    results: queue.SimpleQueue[AttemptResult] = queue.SimpleQueue()
    started_at = time.monotonic()
    sender.send_all([attempt], results.put)
    result = results.get(timeout=fields.get("timeout_seconds", DEADLINE) + 5)
    seconds = time.monotonic() - started_at
    assert result.token == attempt.token
    assert results.empty()
    return Sent(result, seconds)
