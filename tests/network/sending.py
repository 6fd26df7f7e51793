"""One request through a sender, and what came of it."""

import queue
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from apps.webhooks.delivery import Order, Request, Result, Sender

DEADLINE = 1.0
POOL = UUID(int=1)


@dataclass(frozen=True)
class Sent:
    result: Result
    seconds: float


def order(url: str, **given: Any) -> Order:
    made = request(url, **given)
    return Order(uuid4(), lambda: made)


def request(url: str, **given: Any) -> Request:
    return Request(
        **{
            "pool": uuid4(),
            "url": url,
            "headers": {"Content-Type": "application/json"},
            "body": b"{}",
            "timeout_seconds": DEADLINE,
            **given,
        }
    )


def send(sender: Sender, url: str, **given: Any) -> Sent:
    """Send one request and wait for its one result."""
    asked = order(url, **given)
    results: queue.SimpleQueue[Result] = queue.SimpleQueue()
    began = time.monotonic()
    sender.send_all([asked], results.put)
    result = results.get(timeout=given.get("timeout_seconds", DEADLINE) + 5)
    seconds = time.monotonic() - began
    assert result.token == asked.token
    assert results.empty()
    return Sent(result, seconds)
