"""The only outgoing HTTP. One event loop in a thread of its own sends; the drain feeds it.

Each request: no redirects, no proxy from the environment, no cookies, a deadline over everything
from DNS to the last byte, and an address check at the moment the socket is made, on the concrete
address, so that no DNS answer can talk us into the private network.

Informational answers (1xx) are passed over, as RFC 9110 has it: what counts is the answer that
follows them. Only 101, after which there is none, counts as an answer, and so as a failure.
"""

import asyncio
import io
import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import aiohttp

from apps.webhooks.answers import (
    READ_BYTES,
    excerpt,
    kept_headers,
    redaction,
    retry_after_seconds,
    sentence,
)
from apps.webhooks.connections import PROGRESS, AddressDenied, Answer, Connections, Progress

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
ABORTED = "the sender was closed"
# aiohttp warns of larger ones in one piece: they would block the loop.
WHOLE_BODY_BYTES = 1024 * 1024


class Outcome(StrEnum):
    """What came of an attempt. Only `ok` is a success."""

    OK = "ok"  # any 2xx whose body came to its end, or to the bound of what we read
    STATUS = "status"  # an answer, but no 2xx; a redirect is not followed
    TIMEOUT = "timeout"
    ADDRESS_DENIED = "address_denied"
    DNS = "dns"
    TLS = "tls"
    CONNECTION = "connection"  # refused, reset, cut off, or no HTTP
    INVALID = "invalid"  # a request that cannot be made at all
    ABORTED = "aborted"  # by us, since the sender is closed: it says nothing of the receiver


PHASELESS = {Outcome.OK, Outcome.STATUS, Outcome.INVALID}


@dataclass(frozen=True, slots=True)
class Request:
    """One attempt to be made."""

    # The claim that the result must bring back.
    token: UUID
    # Whose connections it may use: one pool for each organisation and origin.
    pool: UUID
    url: str
    headers: Mapping[str, str]
    body: bytes
    # 1 to 30: one deadline over DNS, connect, TLS, headers and body.
    timeout_seconds: float
    # Values to be blotted out of what is kept of the answer.
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What came of the attempt that was claimed under `token`. Times are whole milliseconds."""

    token: UUID
    outcome: Outcome
    total_ms: int
    # None: not reached, or a connection was reused.
    dns_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    # From the start of the attempt to the end of the answer's head.
    first_byte_ms: int | None = None
    # "93.184.216.34:443", as connected.
    peer: str = ""
    # Where a failed attempt ended: dns, connect, tls, request, headers or body.
    phase: str = ""
    status_code: int | None = None
    error: str = ""
    # What the answer asks for, 0 to 86,400; None: nothing that we understand.
    retry_after_seconds: float | None = None
    response_headers: dict[str, str] = field(default_factory=dict)
    response_excerpt: str = ""


Done = Callable[[Result], None]


class Sender:
    """Sends requests from its own event loop, and tells each result to whoever sent it.

    `authorities` (PEM) are certificates that are believed besides the system's.
    """

    def __init__(self, *, authorities: str = "") -> None:
        self._loop = asyncio.new_event_loop()
        self._attempts: set[asyncio.Task[None]] = set()
        self._gate = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._loop.run_forever, name="sender", daemon=True)
        self._thread.start()
        opening = asyncio.run_coroutine_threadsafe(self._open(authorities), self._loop)
        try:
            self._connections = opening.result(timeout=CLOSE_SECONDS)
        except BaseException:
            self._end()
            raise

    def send_all(self, requests: Sequence[Request], done: Done) -> None:
        """Start the attempts and come back at once.

        `done` is called exactly once for each request, whatever happens to it, from the sender's
        thread; only a closed sender calls it from here.
        """
        with self._gate:
            if not self._is_closed:
                self._loop.call_soon_threadsafe(self._start, requests, done)
                return
        for request in requests:
            _tell(done, Result(request.token, Outcome.ABORTED, 0, error=ABORTED))

    def close(self) -> None:
        """Abort what is under way, close all connections and end the thread."""
        with self._gate:
            if self._is_closed:
                return
            self._is_closed = True
        closing = asyncio.run_coroutine_threadsafe(self._close(), self._loop)
        try:
            closing.result(timeout=CLOSE_SECONDS)
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=CLOSE_SECONDS)
        self._loop.close()

    async def _open(self, authorities: str) -> Connections:
        return Connections(authorities)

    async def _close(self) -> None:
        for attempt in self._attempts:
            attempt.cancel()
        await asyncio.gather(*self._attempts, return_exceptions=True)
        await self._connections.close()

    def _start(self, requests: Sequence[Request], done: Done) -> None:
        for request in requests:
            attempt = self._loop.create_task(self._attempt(request, done))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempts.discard)

    async def _attempt(self, request: Request, done: Done) -> None:
        exchange = _Exchange(request)
        failure: BaseException | None = None
        try:
            async with asyncio.timeout(request.timeout_seconds):
                await exchange.run(self._connections)
        except (aiohttp.ClientError, OSError, ValueError, asyncio.CancelledError) as error:
            failure = error
        except Exception as error:
            logger.exception("attempt %s broke", request.token)
            failure = error
        try:
            result = exchange.result(failure)
        except Exception:
            logger.exception("what came of attempt %s cannot be told", request.token)
            result = Result(request.token, Outcome.INVALID, 0, error="the answer cannot be kept")
        _tell(done, result)


class _Exchange:
    """One attempt under way: what it reached and received, whatever then stops it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._progress = Progress(began=time.monotonic())
        self._answer: Answer | None = None
        self._received = bytearray()
        self._is_cut = True

    async def run(self, connections: Connections) -> None:
        PROGRESS.set(self._progress)
        scheme = self._request.url.partition(":")[0].lower()
        with connections.of((self._request.pool, "https" if scheme == "https" else "http")) as pool:
            answer = self._answer = await self._answered(pool)
            try:
                await self._read(answer)
            finally:
                # Whatever was not read is not waited for: such a connection is closed, not reused.
                if not answer.closed:
                    answer.close()

    async def _answered(self, pool: aiohttp.ClientSession) -> Answer:
        body = self._request.body
        while True:
            try:
                answer = await pool.post(
                    self._request.url,
                    data=body if len(body) <= WHOLE_BODY_BYTES else io.BytesIO(body),
                    headers=self._request.headers,
                    allow_redirects=False,
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # A receiver may close a kept connection whenever it likes; this says nothing of how
                # it takes the request, which goes out on the next one. In the end that is a new one.
                if not self._progress.is_reused:
                    raise
                self._progress.starts_over()
            else:
                assert isinstance(answer, Answer)
                return answer

    async def _read(self, answer: Answer) -> None:
        async for chunk in answer.content.iter_any():
            self._received += chunk
            if len(self._received) > READ_BYTES:
                del self._received[READ_BYTES:]
                return
        if answer.was_reset:
            raise aiohttp.ClientPayloadError("Connection reset")
        self._is_cut = False

    def result(self, failure: BaseException | None) -> Result:
        """What is recorded of the attempt, which `failure` ended if it is not None."""
        request, progress, answer = self._request, self._progress, self._answer
        redact = redaction(request.secrets)
        if failure is None:
            is_success = answer is not None and 200 <= answer.status < 300
            outcome, words = Outcome.OK if is_success else Outcome.STATUS, ""
        else:
            outcome = _outcome(failure, progress)
            words = _words(outcome, failure, request)
        return Result(
            token=request.token,
            outcome=outcome,
            total_ms=round((time.monotonic() - progress.began) * 1000),
            dns_ms=progress.dns_ms(),
            connect_ms=progress.connect_ms(),
            tls_ms=progress.tls_ms(),
            first_byte_ms=progress.first_byte_ms(),
            peer=progress.peer,
            phase="" if outcome in PHASELESS else progress.phase,
            status_code=answer.status if answer else None,
            error=sentence(words, redact),
            retry_after_seconds=retry_after_seconds(answer.headers) if answer else None,
            response_headers=kept_headers(answer.headers, redact) if answer else {},
            response_excerpt=excerpt(self._received, is_cut=self._is_cut, redact=redact),
        )


def _tell(done: Done, result: Result) -> None:
    try:
        done(result)
    except Exception:
        logger.exception("the result of attempt %s was not taken", result.token)


def _outcome(error: BaseException, progress: Progress) -> Outcome:
    """What kind of failure ended an attempt: the first that it shows a sign of."""
    cause = getattr(error, "os_error", error)
    signs = {
        Outcome.ABORTED: isinstance(error, asyncio.CancelledError),
        Outcome.TIMEOUT: isinstance(error, TimeoutError),
        Outcome.ADDRESS_DENIED: isinstance(cause, AddressDenied),
        Outcome.DNS: isinstance(error, aiohttp.ClientConnectorDNSError),
        Outcome.TLS: isinstance(error, aiohttp.ClientSSLError) or progress.phase == "tls",
        # aiohttp looks at the headers only when it writes them, on an open connection.
        Outcome.INVALID: isinstance(error, ValueError | aiohttp.NonHttpUrlClientError)
        and progress.connected is None,
    }
    return next((outcome for outcome, shows in signs.items() if shows), Outcome.CONNECTION)


def _words(outcome: Outcome, error: BaseException, request: Request) -> str:
    """A sentence for people."""
    cause = getattr(error, "os_error", error)
    match outcome:
        case Outcome.ABORTED:
            return ABORTED
        case Outcome.TIMEOUT:
            return f"no complete answer within {request.timeout_seconds:g} s"
        case Outcome.DNS:
            return f"the host's name could not be looked up: {_told(cause)}"
        case Outcome.TLS:
            return f"no secure connection: {_told(cause)}"
        case Outcome.INVALID:
            return f"the request cannot be made: {_told(cause)}"
        case _:
            return _told(cause)


def _told(error: BaseException) -> str:
    """An error in words: aiohttp's and asyncio's own name classes and repeat the request."""
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection ended within the answer's body"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection ended before the answer's head"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the answer is not HTTP as we take it: {error.message}"
    if isinstance(error, ssl.SSLError):
        return str(getattr(error, "verify_message", "") or error.reason or error)
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else error.strerror or str(error)
    return str(error) or type(error).__name__
