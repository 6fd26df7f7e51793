"""Reading for many from one event loop: by a few threads, which give their connections back.

Streams that stand at the same place and want the same share one reading: news for a thousand of them
are one question, not a thousand.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

from django.db import connection

from apps.api.streams import pages
from apps.api.streams.pages import Page
from apps.api.streams.params import FeedQuery

THREADS = 4
"""So many connections at most, beside the watcher's."""
LINGER_SECONDS = 1.0
"""How long a thread with nothing to do keeps its connection: from one page to the next, mostly."""

P = ParamSpec("P")
R = TypeVar("R")


class _Threads:
    """Threads that are kept and connections that are not, which a `ThreadPoolExecutor` cannot say."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._guard = threading.Lock()
        self._count = 0

    def submit(self, call: Callable[[], R]) -> "Future[R]":
        future: Future[R] = Future()
        with self._guard:
            if self._count < THREADS:
                self._count += 1
                threading.Thread(target=self._serve, name="reader", daemon=True).start()
        self._jobs.put((future, call))
        return future

    def _serve(self) -> None:
        while True:
            future, call = self._next()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            finally:
                # One that broke is replaced; the next call must not suffer from it.
                connection.close_if_unusable_or_obsolete()

    def _next(self) -> tuple["Future[Any]", Callable[[], Any]]:
        try:
            return self._jobs.get(timeout=LINGER_SECONDS)
        except Empty:
            connection.close()
            return self._jobs.get()


_threads = _Threads()


async def on_thread(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What `call` answers, on one of the threads."""
    return await asyncio.wrap_future(_threads.submit(lambda: call(*args, **kwargs)))


class Reading:
    """The readings under way."""

    def __init__(self) -> None:
        self._under_way: dict[object, asyncio.Task[Page]] = {}

    async def page(self, asked: FeedQuery, *, until: int | None) -> Page:
        key = self._key(asked, until)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(on_thread(pages.read, asked, until=until))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key))
        # Whoever goes away leaves the reading to the others.
        return await asyncio.shield(task)

    @staticmethod
    def _key(asked: FeedQuery, until: int | None) -> object:
        """What the answer depends on: of the caller only the organisation and the pools."""
        actor = asked.actor
        sees = (actor.organisation_id, actor.pool_ids)
        wants = (asked.after, asked.generation, asked.types, asked.limit, asked.addition)
        return (asyncio.get_running_loop(), sees, wants, until)


reading = Reading()
