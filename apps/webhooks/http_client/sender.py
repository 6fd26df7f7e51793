"""Send requests from one event loop in a thread of its own: the only outgoing HTTP.

Each request: no redirects, no proxy from the environment, no cookies, one deadline from DNS to the
last byte, and an address check when the socket is made, on the concrete address, so that no DNS
answer can direct us into a private network.

Informational responses (1xx) are skipped, as RFC 9110 requires: the response that follows them
counts. Only 101, which nothing follows, counts as a response, and so as a failure.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

import uvloop

from apps.webhooks.http_client.attempts import AttemptResult, Outcome, QueuedRequest, Unreadable
from apps.webhooks.http_client.connection_pool import ConnectionPool
from apps.webhooks.http_client.exchange import ABORTED, EXPECTED_ERRORS, Exchange

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0

ResultCallback = Callable[[AttemptResult], None]


def _never() -> bool:
    return False


class Sender:
    """Send requests from its own event loop, and report each result by a callback.

    `nameservers` are `address:port`; without any, the system's are used. `allows_loopback` is
    called for each connection. `authorities` (PEM) are certificates that are trusted besides the
    system's.
    """

    def __init__(
        self,
        *,
        nameservers: Sequence[str] = (),
        allows_loopback: Callable[[], bool] = _never,
        authorities: str = "",
    ) -> None:
        self._loop = uvloop.new_event_loop()
        self._attempts: set[asyncio.Task[None]] = set()
        self._close_lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._loop.run_forever, name="sender", daemon=True)
        self._thread.start()
        opening = asyncio.run_coroutine_threadsafe(
            self._open_pool(list(nameservers), allows_loopback, authorities), self._loop
        )
        try:
            self._pool = opening.result(timeout=CLOSE_SECONDS)
        except BaseException:
            self._stop_thread()
            raise

    def send_all(self, requests: Sequence[QueuedRequest], on_result: ResultCallback) -> None:
        """Start the attempts and return at once.

        `on_result` is called exactly once for each request, however it ends, from the sender's
        thread; only a closed sender calls it from the caller's.
        """
        with self._close_lock:
            if not self._is_closed:
                self._loop.call_soon_threadsafe(self._start, requests, on_result)
                return
        for request in requests:
            _report(on_result, AttemptResult(request.token, Outcome.ABORTED, 0, error=ABORTED))

    def close(self) -> None:
        """Abort the running attempts, close all connections and end the thread."""
        with self._close_lock:
            if self._is_closed:
                return
            self._is_closed = True
        closing = asyncio.run_coroutine_threadsafe(self._close_pool(), self._loop)
        try:
            closing.result(timeout=CLOSE_SECONDS)
        finally:
            self._stop_thread()

    def _stop_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=CLOSE_SECONDS)
        self._loop.close()

    async def _open_pool(
        self, nameservers: list[str], allows_loopback: Callable[[], bool], authorities: str
    ) -> ConnectionPool:
        return ConnectionPool(
            nameservers=nameservers, allows_loopback=allows_loopback, authorities=authorities
        )

    async def _close_pool(self) -> None:
        for attempt in self._attempts:
            attempt.cancel()
        await asyncio.gather(*self._attempts, return_exceptions=True)
        self._pool.close()

    def _start(self, requests: Sequence[QueuedRequest], on_result: ResultCallback) -> None:
        for request in requests:
            attempt = self._loop.create_task(self._attempt(request, on_result))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempts.discard)

    async def _attempt(self, queued: QueuedRequest, on_result: ResultCallback) -> None:
        try:
            result = await self._result(queued)
        except asyncio.CancelledError:
            result = AttemptResult(queued.token, Outcome.ABORTED, 0, error=ABORTED)
        except Unreadable as error:
            logger.warning("attempt %s was not made: %s", queued.token, error)
            result = AttemptResult(queued.token, Outcome.UNREADABLE, 0, error=str(error))
        except Exception as error:
            logger.exception("attempt %s failed on our side", queued.token)
            message = f"the attempt failed on our side: {type(error).__name__}"
            result = AttemptResult(queued.token, Outcome.INVALID, 0, error=message)
        _report(on_result, result)

    async def _result(self, queued: QueuedRequest) -> AttemptResult:
        request = queued.build()
        exchange = Exchange(request)
        try:
            async with asyncio.timeout(request.timeout_seconds):
                await exchange.run(self._pool)
        except EXPECTED_ERRORS as error:
            return exchange.result(queued.token, error)
        return exchange.result(queued.token, None)


def _report(on_result: ResultCallback, result: AttemptResult) -> None:
    try:
        on_result(result)
    except Exception:
        logger.exception("the result of attempt %s was not accepted", result.token)
