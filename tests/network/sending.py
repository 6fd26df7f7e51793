"""One request through a sender, and what came of it."""

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


def queued(url: str, **given: Any) -> QueuedRequest:
    made = request(url, **given)
    return QueuedRequest(uuid4(), lambda: made)


def request(url: str, **given: Any) -> Request:
    return Request(
        **{
            "pool_id": uuid4(),
            "url": url,
            "headers": {"Content-Type": "application/json"},
            "body": b"{}",
            "timeout_seconds": DEADLINE,
            **given,
        }
    )


def send(sender: Sender, url: str, **given: Any) -> Sent:
    """Send one request and wait for its one result."""
    asked = queued(url, **given)
    results: queue.SimpleQueue[AttemptResult] = queue.SimpleQueue()
    began = time.monotonic()
    sender.send_all([asked], results.put)
    result = results.get(timeout=given.get("timeout_seconds", DEADLINE) + 5)
    seconds = time.monotonic() - began
    assert result.token == asked.token
    assert results.empty()
    return Sent(result, seconds)
