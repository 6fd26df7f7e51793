"""Webhooks on a developer's machine: pulled from the feed, signed anew, posted to a local address.

No tunnel and no public address is needed, since this side asks. What arrives has the form of a real
delivery: the same body and headers, a `webhook-id` that stays when it is sent again, and a signature
of each kind.
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

TIMEOUT_SECONDS = 30.0
PAUSES_SECONDS = (1.0, 3.0)
"""Between the tries of one event. The service itself tries for three days (docs/webhooks.md)."""

SERVER_ERRORS = 500
AWAY_SECONDS = 2.0
GONE = "gone: messages are kept for 30 days"
HEADERS = {"User-Agent": "BioLayer-Webhooks/1", "Content-Type": "application/json"}

Say = Callable[[str], None]


def listen(
    backend: Backend,
    *,
    forward: str,
    keys: Sequence[str],
    say: Say,
    types: str = "task.*",
    after: str = "latest",
) -> None:
    """Forward each event to `forward`, for ever; `say` is told a line of each try.

    `keys` sign: `whsec_` secrets and `whsk_` keys. Raises `biolayer.client.Problem` for a key or a
    parameter that the service refuses, before anything is said.
    """
    page = backend.events_page(after=after, types=types)
    place = page["next_cursor"] if after == "latest" else after
    for line in introduction(forward, keys):
        say(line)
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False, headers=HEADERS) as receiver:
        while True:
            try:
                for item in backend.feed(after=place, types=types, payload="webhook"):
                    _forward(receiver, forward, keys, item, say)
                    place = item["cursor"]
            except (httpx.TransportError, Problem) as error:
                if isinstance(error, Problem) and error.http_status < SERVER_ERRORS:
                    raise
                say("BioLayer does not answer; trying again")
                time.sleep(AWAY_SECONDS)


def _forward(
    receiver: httpx.Client, url: str, keys: Sequence[str], item: Mapping[str, Any], say: Say
) -> None:
    if item["webhook"] is None:
        say(_told(item, GONE))
        return
    for pause in (*PAUSES_SECONDS, None):
        is_taken, outcome = _tried(receiver, url, keys, item)
        if is_taken or pause is None:
            say(_told(item, outcome if is_taken else f"{outcome}; given up"))
            return
        say(_told(item, f"{outcome}; again in {pause:.0f} s"))
        time.sleep(pause)


def _tried(
    receiver: httpx.Client, url: str, keys: Sequence[str], item: Mapping[str, Any]
) -> tuple[bool, str]:
    """Return whether the receiver took an event, and what came of it in a few words."""
    body = json.dumps(item["webhook"], ensure_ascii=False, separators=(",", ":")).encode()
    signed = signing.sign(
        secrets=keys, message_id=_message_id(item), at=datetime.now(UTC), body=body
    )
    try:
        answer = receiver.post(url, content=body, headers=signed)
    except httpx.ConnectError:
        return False, f"nothing answers at {url}"
    except httpx.TimeoutException:
        return False, f"no answer within {TIMEOUT_SECONDS:.0f} s"
    except httpx.TransportError as error:
        return False, str(error) or type(error).__name__
    text = f"{answer.status_code} in {answer.elapsed.total_seconds() * 1000:.0f} ms"
    return answer.is_success, text


def _message_id(item: Mapping[str, Any]) -> str:
    """Return an id that is the same whenever the event is forwarded, so that a receiver can tell."""
    return f"msg_{uuid5(UUID(item['task_id']), str(item['sequence'])).hex}"


def signing_keys(secret: str | None) -> list[str]:
    """Return what to sign with: a secret, a new one unless given, and a key of the other kind.

    The latter needs `cryptography` and `pynacl`, and is left out where these are not installed.
    """
    has_both = find_spec("cryptography") and find_spec("nacl")
    return [secret or signing.new_secret(), *([signing.new_private_key()] if has_both else [])]


def _told(item: Mapping[str, Any], outcome: str) -> str:
    return f"{datetime.now(UTC):%H:%M:%S}  {item['type']:<18}  {item['task_id']}  {outcome}"


def introduction(forward: str, keys: Sequence[str]) -> Iterator[str]:
    """Yield what a developer must know before the first event comes."""
    yield f"Forwarding events to {forward}. Ctrl-C ends it."
    secret, *others = keys
    yield f"Verify them with the secret      {secret}"
    for key in others:
        yield f"or with the public key (v1a)     {signing.public_key(key)}"
