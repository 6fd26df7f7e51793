"""Send push messages: encrypted for the browser (RFC 8291), to allowed addresses only.

pywebpush encrypts and py_vapid signs; the request goes over the HTTP client of webhooks, which
checks the concrete address of each connection (docs/adr/0011). A subscription's endpoint is chosen
by a browser, or by a program in its place: it is called as the URL of a callback is.
"""

import atexit
import queue
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import NamedTuple
from uuid import UUID

import orjson
from cryptography.fernet import InvalidToken
from django.conf import settings
from pywebpush import WebPusher, WebPushException

from apps.base import crypto
from apps.notices.models import Device
from apps.notices.selectors import device_place
from apps.notices.services.content import Words
from apps.notices.services.push_keys import authorization
from apps.webhooks.destination_urls import allows_loopback
from apps.webhooks.http_client import AttemptResult, Outcome, QueuedRequest, Request, Sender

TIMEOUT_SECONDS = 10.0

LONGEST_SECONDS = 4 * 3600
"""How long a push service keeps a message for a browser that is not reachable."""

# A push service delivers only the last message of a topic to a browser that was not reachable.
TOPIC = "notices"
MAX_BODY = 1500
GONE = (404, 410)
WORTH_RETRYING = (408, 429)


class PushMessage(NamedTuple):
    """Describe what to send to a device for a digest."""

    digest_id: UUID
    device: Device
    words: Words


@dataclass(frozen=True, slots=True)
class PushResult:
    """Say what became of a push message."""

    is_sent: bool = False
    # The browser has unsubscribed: there is no such endpoint any more.
    is_gone: bool = False
    may_retry: bool = False
    retry_after: float | None = None
    problem: str = ""


@lru_cache(maxsize=1)
def _sender() -> Sender:
    sender = Sender(nameservers=settings.NAMESERVERS, allows_loopback=allows_loopback)
    atexit.register(sender.close)
    return sender


def send_pushes(
    messages: Sequence[PushMessage], *, at: datetime
) -> Iterator[tuple[UUID, PushResult]]:
    """Send the messages, all at once, and yield the result of each digest as it comes."""
    requests = []
    for message in messages:
        try:
            request = _request(message, at)
        except (InvalidToken, crypto.SealBroken, WebPushException, ValueError) as error:
            problem = f"the message could not be made: {type(error).__name__}"
            yield message.digest_id, PushResult(problem=problem)
        else:
            requests.append(QueuedRequest(message.digest_id, partial(_given, request)))
    results: queue.SimpleQueue[AttemptResult] = queue.SimpleQueue()
    _sender().send_all(requests, results.put)
    ends = time.monotonic() + TIMEOUT_SECONDS + 1.0
    for _ in requests:
        try:
            result = results.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            return  # Their claims end.
        yield result.token, _result(result)


def _given(request: Request) -> Request:
    return request


def _request(message: PushMessage, at: datetime) -> Request:
    device, words = message.device, message.words
    sealed = crypto.unseal(bytes(device.sealed), device_place(device.organisation_id))
    subscription = orjson.loads(sealed)
    endpoint, keys = subscription["endpoint"], subscription["keys"]
    encoded = WebPusher(subscription).encode(_payload(words), content_encoding="aes128gcm")
    seconds = LONGEST_SECONDS
    if words.expires_at is not None:
        seconds = min(seconds, max(1, int((words.expires_at - at).total_seconds())))
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Encoding": "aes128gcm",
        "TTL": str(seconds),
        "Topic": TOPIC,
        # Of offers, which end soon, phones that save energy are told at once (RFC 8030, 5.3).
        "Urgency": "normal" if words.expires_at is None else "high",
        "Authorization": authorization(endpoint, at=at),
    }
    return Request(
        connection_key=device.organisation_id,
        url=endpoint,
        headers=headers,
        body=bytes(encoded["body"]),
        timeout_seconds=TIMEOUT_SECONDS,
        secrets=(headers["Authorization"], keys["auth"]),
    )


def _payload(words: Words) -> bytes:
    """Return what sw-push.js shows. Push services accept 4 KiB of it, encrypted."""
    body = words.body.encode()[:MAX_BODY].decode(errors="ignore")
    return orjson.dumps({"title": words.title, "body": body, "url": words.url, "tag": TOPIC})


def _result(result: AttemptResult) -> PushResult:
    status = result.status_code
    if result.outcome is Outcome.OK:
        return PushResult(is_sent=True)
    if result.outcome is not Outcome.STATUS or status is None:
        may_retry = result.outcome not in (Outcome.ADDRESS_DENIED, Outcome.INVALID)
        return PushResult(may_retry=may_retry, problem=result.error or result.outcome.value)
    if status in GONE:
        return PushResult(is_gone=True)
    return PushResult(
        may_retry=status in WORTH_RETRYING or status >= 500,
        retry_after=result.retry_after_seconds,
        problem=f"the push service answered {status}",
    )
