"""Forward events as webhooks to a developer's machine, without a tunnel or a public address.

Events are read from the feed, signed, and posted to a local URL. Each request looks like a real
delivery: the same body and headers, a `webhook-id` that stays the same when an event is forwarded
again, and a signature of each kind.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any
from uuid import UUID, uuid5

import httpx

from biolayer import signing
from biolayer.client import Backend, Problem
from biolayer.headers import SANDBOX_HEADER

TIMEOUT_SECONDS = 30.0
PAUSES_SECONDS = (1.0, 3.0)
"""Pauses between the attempts of one event. The service itself retries for three days."""

SERVER_ERRORS = 500
RECONNECT_SECONDS = 2.0
EXPIRED = "expired: bodies are kept for 30 days"
HEADERS = {"User-Agent": "BioLayer-Webhooks/1", "Content-Type": "application/json"}

Report = Callable[[str], None]


def listen(
    backend: Backend,
    *,
    forward: str,
    keys: Sequence[str],
    report: Report,
    types: str = "task.*",
    after: str = "latest",
) -> None:
    """Forward each event to the URL `forward`, and report each attempt. Never returns.

    `keys` are the `whsec_` secrets and `whsk_` keys to sign with. Raise `biolayer.client.Problem`
    for a key or parameter that the service refuses, before the first line is reported.
    """
    page = backend.events_page(after=after, types=types)
    cursor = page["next_cursor"] if after == "latest" else after
    for line in introduction(forward, keys):
        report(line)
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False, headers=HEADERS) as receiver:
        while True:
            try:
                for item in backend.feed(after=cursor, types=types, payload="webhook"):
                    _forward(receiver, forward, keys, item, report)
                    cursor = item["cursor"]
            except (httpx.TransportError, Problem) as error:
                if isinstance(error, Problem) and error.http_status < SERVER_ERRORS:
                    raise
                report("BioLayer cannot be reached; retrying")
                time.sleep(RECONNECT_SECONDS)


def _forward(
    receiver: httpx.Client, url: str, keys: Sequence[str], item: Mapping[str, Any], report: Report
) -> None:
    if item["webhook"] is None:
        report(_line(item, EXPIRED))
        return
    for pause in (*PAUSES_SECONDS, None):
        is_accepted, outcome = _send(receiver, url, keys, item)
        if is_accepted or pause is None:
            report(_line(item, outcome if is_accepted else f"{outcome}; giving up"))
            return
        report(_line(item, f"{outcome}; retrying in {pause:.0f} s"))
        time.sleep(pause)


def _send(
    receiver: httpx.Client, url: str, keys: Sequence[str], item: Mapping[str, Any]
) -> tuple[bool, str]:
    """Send an event once. Return whether the receiver accepted it, and the result in words."""
    body = json.dumps(item["webhook"], ensure_ascii=False, separators=(",", ":")).encode()
    signed = signing.sign(
        secrets=keys, message_id=_message_id(item), at=datetime.now(UTC), body=body
    )
    mark = {SANDBOX_HEADER: "true"} if "sandbox" in item["webhook"]["data"] else {}
    try:
        response = receiver.post(url, content=body, headers={**signed, **mark})
    except httpx.ConnectError:
        return False, f"cannot connect to {url}"
    except httpx.TimeoutException:
        return False, f"no response within {TIMEOUT_SECONDS:.0f} s"
    except httpx.TransportError as error:
        return False, str(error) or type(error).__name__
    text = f"{response.status_code} in {response.elapsed.total_seconds() * 1000:.0f} ms"
    return response.is_success, text


def _message_id(item: Mapping[str, Any]) -> str:
    """Return an ID that is the same each time the event is forwarded."""
    return f"msg_{uuid5(UUID(item['task_id']), str(item['sequence'])).hex}"


def signing_keys(secret: str | None) -> list[str]:
    """Return the keys to sign with: `secret` or a new one, and a new `v1a` key.

    The `v1a` key is left out if `cryptography` or `pynacl` is not installed.
    """
    has_both = find_spec("cryptography") and find_spec("nacl")
    return [secret or signing.new_secret(), *([signing.new_private_key()] if has_both else [])]


def _line(item: Mapping[str, Any], outcome: str) -> str:
    return f"{datetime.now(UTC):%H:%M:%S}  {item['type']:<18}  {item['task_id']}  {outcome}"


def introduction(forward: str, keys: Sequence[str]) -> Iterator[str]:
    """Yield the lines that a developer needs before the first event."""
    yield f"Forwarding events to {forward}. Press Ctrl-C to stop."
    secret, *others = keys
    yield f"Verify them with the secret      {secret}"
    for key in others:
        yield f"or with the public key (v1a)     {signing.public_key(key)}"
