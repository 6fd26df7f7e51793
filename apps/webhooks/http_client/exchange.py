"""Run one attempt on a pooled connection, and turn what happened into its result."""

import asyncio
import os
import ssl
from time import monotonic
from uuid import UUID

from apps.webhooks.http_client.attempt_trace import AttemptTrace
from apps.webhooks.http_client.attempts import AttemptResult, Outcome, Request
from apps.webhooks.http_client.connection_pool import AddressDenied, ConnectionPool
from apps.webhooks.http_client.dns import NameNotFound
from apps.webhooks.http_client.http1 import BadResponse, Disconnected, Target
from apps.webhooks.http_client.response import (
    error_text,
    excerpt,
    redaction,
    retry_after_seconds,
    stored_headers,
)

ABORTED = "the sender was closed"
EXPECTED_ERRORS = (Disconnected, BadResponse, OSError, ValueError, asyncio.CancelledError)
OUTCOMES_WITHOUT_PHASE = {Outcome.OK, Outcome.STATUS, Outcome.INVALID}


class Exchange:
    """Run one attempt, and keep a trace of it however it ends."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._trace = AttemptTrace(started_at=monotonic())

    async def run(self, pool: ConnectionPool) -> None:
        """Send the request and read its response. Raise one of `EXPECTED_ERRORS`."""
        request, trace = self._request, self._trace
        target = Target.of(request.url)
        head = target.head(request.headers, len(request.body))
        while True:
            connection = await pool.acquire(request.connection_key, target, trace)
            try:
                await connection.exchange(head, request.body, trace)
            except Disconnected:
                # A receiver may close an idle connection at any time; that says nothing about the
                # request, which is sent on the next connection. The last one tried is a new one.
                if not trace.is_reused or trace.head_received_at is not None:
                    raise
                trace.restart()
            else:
                pool.release(request.connection_key, target, connection)
                return

    def result(self, token: UUID, error: BaseException | None) -> AttemptResult:
        """Return the attempt's result; `error` is what ended it, None for a complete response."""
        request, trace = self._request, self._trace
        redact = redaction(request.secrets)
        if error is None:
            is_success = trace.status_code is not None and 200 <= trace.status_code < 300
            outcome, message = Outcome.OK if is_success else Outcome.STATUS, ""
        else:
            outcome = _outcome(error, trace)
            message = _message(outcome, error, request)
        return AttemptResult(
            token=token,
            outcome=outcome,
            total_ms=round((monotonic() - trace.started_at) * 1000),
            dns_ms=trace.dns_ms(),
            connect_ms=trace.connect_ms(),
            tls_ms=trace.tls_ms(),
            first_byte_ms=trace.first_byte_ms(),
            peer=trace.peer,
            phase="" if outcome in OUTCOMES_WITHOUT_PHASE else trace.phase,
            status_code=trace.status_code,
            error=error_text(message, redact),
            retry_after_seconds=retry_after_seconds(trace.headers),
            response_headers=stored_headers(trace.headers, redact),
            response_excerpt=excerpt(trace.body, is_truncated=not trace.is_complete, redact=redact),
        )


def _outcome(error: BaseException, trace: AttemptTrace) -> Outcome:
    """Return the kind of failure that ended an attempt: the first condition that holds."""
    conditions = {
        Outcome.ABORTED: isinstance(error, asyncio.CancelledError),
        Outcome.TIMEOUT: isinstance(error, TimeoutError),
        Outcome.ADDRESS_DENIED: isinstance(error, AddressDenied),
        Outcome.DNS: isinstance(error, NameNotFound),
        Outcome.TLS: trace.phase == "tls",
        Outcome.INVALID: isinstance(error, ValueError),
    }
    return next((outcome for outcome, holds in conditions.items() if holds), Outcome.CONNECTION)


def _message(outcome: Outcome, error: BaseException, request: Request) -> str:
    """Return a sentence for people."""
    match outcome:
        case Outcome.ABORTED:
            return ABORTED
        case Outcome.TIMEOUT:
            return f"no complete response within {request.timeout_seconds:g} s"
        case Outcome.DNS:
            return f"the host name could not be resolved: {_reason(error)}"
        case Outcome.TLS:
            return f"TLS failed: {_reason(error)}"
        case Outcome.INVALID:
            return f"the request cannot be made: {_reason(error)}"
        case _:
            return _reason(error)


def _reason(error: BaseException) -> str:
    if isinstance(error, BadResponse):
        return f"the response is not valid HTTP/1.1: {error}"
    if isinstance(error, ssl.SSLError):
        return str(getattr(error, "verify_message", "") or error.reason or error)
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else error.strerror or str(error)
    return str(error) or type(error).__name__
