"""Read the database for many callers of one event loop, on a few threads."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

from django.db import connection

# Also the number of connections, beside the watcher's.
MAX_THREADS = 4
# How long an idle thread keeps its connection: usually from one page to the next.
LINGER_SECONDS = 1.0

P = ParamSpec("P")
R = TypeVar("R")


class _DatabaseThreads:
    """Run calls on threads that are kept, while their idle connections are closed.

    A `ThreadPoolExecutor` cannot close the connection of an idle thread.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._guard = threading.Lock()
        self._count = 0

    def submit(self, call: Callable[[], R]) -> "Future[R]":
        future: Future[R] = Future()
        with self._guard:
            if self._count < MAX_THREADS:
                self._count += 1
                threading.Thread(target=self._serve, name="reader", daemon=True).start()
        self._calls.put((future, call))
        return future

    def _serve(self) -> None:
        while True:
            future, call = self._next_call()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            finally:
                # A broken connection is replaced, so that the next call does not fail by it.
                connection.close_if_unusable_or_obsolete()

    def _next_call(self) -> tuple["Future[Any]", Callable[[], Any]]:
        try:
            return self._calls.get(timeout=LINGER_SECONDS)
        except Empty:
            connection.close()
            return self._calls.get()


_threads = _DatabaseThreads()


async def run_on_thread(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return the result of `call`, run on one of the threads."""
    return await asyncio.wrap_future(_threads.submit(lambda: call(*args, **kwargs)))
