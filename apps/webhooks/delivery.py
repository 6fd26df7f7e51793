"""The only outgoing HTTP. One event loop in a thread of its own sends; the drain feeds it.

Each request: no redirects, no proxy from the environment, no cookies, a deadline over everything
from DNS to the last byte, and an address check at the moment the socket is made, on the concrete
address, so that no DNS answer can talk us into the private network.

Informational answers (1xx) are passed over, as RFC 9110 has it: what counts is the answer that
follows them. Only 101, after which there is none, counts as an answer, and so as a failure.
"""

import asyncio
import logging
import os
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from time import monotonic
from typing import NamedTuple
from uuid import UUID

import uvloop

from apps.webhooks.answers import (
    excerpt,
    kept_headers,
    redaction,
    retry_after_seconds,
    sentence,
)
from apps.webhooks.connections import AddressDenied, Connections
from apps.webhooks.names import NameNotFound
from apps.webhooks.progress import Progress
from apps.webhooks.wire import BadAnswer, Disconnected, Target

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
ABORTED = "the sender was closed"


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
    UNREADABLE = (
        "unreadable"  # our own secrets for it cannot be decrypted: no fault of the receiver's
    )
    ABORTED = "aborted"  # by us, since the sender is closed: it says nothing of the receiver


EXPECTED = (Disconnected, BadAnswer, OSError, ValueError, asyncio.CancelledError)
PHASELESS = {Outcome.OK, Outcome.STATUS, Outcome.INVALID}
OURS = {Outcome.UNREADABLE, Outcome.ABORTED}
"""What says nothing of how the receiver fares."""


class Unreadable(Exception):
    """A secret that an attempt needs cannot be decrypted; the message says which."""


class Request(NamedTuple):
    """What is to be sent."""

    # Whose connections it may use: one pool for each organisation and origin.
    pool: UUID
    url: str
    headers: Mapping[str, str]
    body: bytes
    # 1 to 30: one deadline over DNS, connect, TLS, headers and body.
    timeout_seconds: float
    # Values to be blotted out of what is kept of the answer.
    secrets: tuple[str, ...] = ()


class Order(NamedTuple):
    """An attempt to be made.

    The request is made by the sender: to sign hundreds takes its time, which so passes while the
    drain waits for the database.
    """

    # The claim that the result must bring back.
    token: UUID
    request: Callable[[], Request]


class Result(NamedTuple):
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
    response_headers: dict[str, str] = {}
    response_excerpt: str = ""


Done = Callable[[Result], None]


class Sender:
    """Sends requests from its own event loop, and tells each result to whoever sent it.

    `authorities` (PEM) are certificates that are believed besides the system's.
    """

    def __init__(self, *, authorities: str = "") -> None:
        self._loop = uvloop.new_event_loop()
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

    def send_all(self, orders: Sequence[Order], done: Done) -> None:
        """Start the attempts and come back at once.

        `done` is called exactly once for each order, whatever happens to it, from the sender's
        thread; only a closed sender calls it from here.
        """
        with self._gate:
            if not self._is_closed:
                self._loop.call_soon_threadsafe(self._start, orders, done)
                return
        for order in orders:
            _tell(done, Result(order.token, Outcome.ABORTED, 0, error=ABORTED))

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
        self._connections.close()

    def _start(self, orders: Sequence[Order], done: Done) -> None:
        for order in orders:
            attempt = self._loop.create_task(self._attempt(order, done))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempts.discard)

    async def _attempt(self, order: Order, done: Done) -> None:
        try:
            result = await self._result(order)
        except asyncio.CancelledError:
            result = Result(order.token, Outcome.ABORTED, 0, error=ABORTED)
        except Unreadable as error:
            logger.warning("attempt %s was not made: %s", order.token, error)
            result = Result(order.token, Outcome.UNREADABLE, 0, error=str(error))
        except Exception as error:
            logger.exception("attempt %s broke", order.token)
            words = f"the attempt broke on our side: {type(error).__name__}"
            result = Result(order.token, Outcome.INVALID, 0, error=words)
        _tell(done, result)

    async def _result(self, order: Order) -> Result:
        request = order.request()
        exchange = _Exchange(request)
        try:
            async with asyncio.timeout(request.timeout_seconds):
                await exchange.run(self._connections)
        except EXPECTED as error:
            return exchange.result(order.token, error)
        return exchange.result(order.token, None)


class _Exchange:
    """One attempt under way: what it reached and received, whatever then stops it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._progress = Progress(began=monotonic())

    async def run(self, connections: Connections) -> None:
        request, progress = self._request, self._progress
        target = Target.of(request.url)
        head = target.head(request.headers, len(request.body))
        while True:
            wire = await connections.wire(request.pool, target, progress)
            try:
                await wire.exchange(head, request.body, progress)
            except Disconnected:
                # A receiver may close a kept connection whenever it likes; this says nothing of how
                # it takes the request, which goes out on the next one. In the end that is a new one.
                if not progress.is_reused or progress.answered is not None:
                    raise
                progress.starts_over()
            else:
                connections.keep(request.pool, target, wire)
                return

    def result(self, token: UUID, failure: BaseException | None) -> Result:
        """What is recorded of the attempt, which `failure` ended if it is not None."""
        request, progress = self._request, self._progress
        redact = redaction(request.secrets)
        if failure is None:
            is_success = progress.status_code is not None and 200 <= progress.status_code < 300
            outcome, words = Outcome.OK if is_success else Outcome.STATUS, ""
        else:
            outcome = _outcome(failure, progress)
            words = _words(outcome, failure, request)
        return Result(
            token=token,
            outcome=outcome,
            total_ms=round((monotonic() - progress.began) * 1000),
            dns_ms=progress.dns_ms(),
            connect_ms=progress.connect_ms(),
            tls_ms=progress.tls_ms(),
            first_byte_ms=progress.first_byte_ms(),
            peer=progress.peer,
            phase="" if outcome in PHASELESS else progress.phase,
            status_code=progress.status_code,
            error=sentence(words, redact),
            retry_after_seconds=retry_after_seconds(progress.headers),
            response_headers=kept_headers(progress.headers, redact),
            response_excerpt=excerpt(
                progress.received, is_cut=not progress.is_whole, redact=redact
            ),
        )


def _tell(done: Done, result: Result) -> None:
    try:
        done(result)
    except Exception:
        logger.exception("the result of attempt %s was not taken", result.token)


def _outcome(error: BaseException, progress: Progress) -> Outcome:
    """What kind of failure ended an attempt: the first that it shows a sign of."""
    signs = {
        Outcome.ABORTED: isinstance(error, asyncio.CancelledError),
        Outcome.TIMEOUT: isinstance(error, TimeoutError),
        Outcome.ADDRESS_DENIED: isinstance(error, AddressDenied),
        Outcome.DNS: isinstance(error, NameNotFound),
        Outcome.TLS: progress.phase == "tls",
        Outcome.INVALID: isinstance(error, ValueError),
    }
    return next((outcome for outcome, shows in signs.items() if shows), Outcome.CONNECTION)


def _words(outcome: Outcome, error: BaseException, request: Request) -> str:
    """A sentence for people."""
    match outcome:
        case Outcome.ABORTED:
            return ABORTED
        case Outcome.TIMEOUT:
            return f"no complete answer within {request.timeout_seconds:g} s"
        case Outcome.DNS:
            return f"the host's name could not be looked up: {_told(error)}"
        case Outcome.TLS:
            return f"no secure connection: {_told(error)}"
        case Outcome.INVALID:
            return f"the request cannot be made: {_told(error)}"
        case _:
            return _told(error)


def _told(error: BaseException) -> str:
    """An error in words."""
    if isinstance(error, BadAnswer):
        return f"the answer is not HTTP as we take it: {error}"
    if isinstance(error, ssl.SSLError):
        return str(getattr(error, "verify_message", "") or error.reason or error)
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else error.strerror or str(error)
    return str(error) or type(error).__name__
