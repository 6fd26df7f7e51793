"""Webhooks on a developer's machine: pulled from the feed, signed anew, posted to a local address.

No tunnel and no public address is needed, since this side asks. What arrives is what a webhook would
bring: the same body, `webhook-id`, `webhook-timestamp`, and a signature by `secret`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from biolayer import signing
from biolayer.client import Backend

TIMEOUT_SECONDS = 30.0
GONE = "gone: messages are kept for 30 days"


def listen(
    backend: Backend,
    *,
    forward: str,
    secret: str,
    say: Callable[[str], None],
    types: str = "task.*",
    after: str = "latest",
) -> None:
    """Forward each event to `forward`, for ever; `say` is told a line of each."""
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as receiver:
        for item in backend.feed(after=after, types=types, payload="webhook"):
            say(_told(item, _forwarded(receiver, forward, secret, item)))


def _forwarded(receiver: httpx.Client, forward: str, secret: str, item: Mapping[str, Any]) -> str:
    """What came of one event, in a few words."""
    if item["webhook"] is None:
        return GONE
    body = json.dumps(item["webhook"], ensure_ascii=False, separators=(",", ":")).encode()
    signed = signing.sign(
        secrets=[secret], message_id=_message_id(item), at=datetime.now(UTC), body=body
    )
    headers = {"Content-Type": "application/json", **signed}
    try:
        answer = receiver.post(forward, content=body, headers=headers)
    except httpx.TransportError as error:
        return f"{type(error).__name__}: {error}"
    return f"{answer.status_code} in {answer.elapsed.total_seconds() * 1000:.0f} ms"


def _message_id(item: Mapping[str, Any]) -> str:
    """The same whenever the event is forwarded, so that a receiver can tell what it had before."""
    return f"msg_{item['task_id'].replace('-', '')}_{item['sequence']}"


def _told(item: Mapping[str, Any], outcome: str) -> str:
    return f"{item['timestamp'][11:19]}  {item['type']:<18}  {item['task_id']}  {outcome}"


def introduction(forward: str, secret: str) -> Iterator[str]:
    """What a developer must know before the first event comes."""
    yield f"Forwarding events to {forward}. Ctrl-C ends it."
    yield f"Verify them with the secret {secret}"
