"""Check the feed for new events on behalf of all streams and long polls of a process.

However many are open, one thread with one connection runs one small statement every
`CHECK_SECONDS`, and none while no caller waits.

1. A reader that found no event below its horizon registers a waiter with that horizon: events at or
   above it are new to the reader. Events between its reading and its registration are not missed.
2. Each check queries, for every organisation with a waiter, whether there are events between the
   oldest of its horizons and the present one.
3. The waiters of an organisation with such events get the new horizon, and read. The others have
   read everything below it, so their horizon is moved to it.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from apps.base.outages import outage
from apps.events import selectors as events
from apps.events.selectors import FeedChanges

logger = logging.getLogger(__name__)

CHECK_SECONDS = 0.2
# The pause after a check that failed: it limits the load on a database that is starting again.
RETRY_SECONDS = 1.0
# How long the connection is kept without a waiter: usually between two calls of one reader.
LINGER_SECONDS = 2.0


@dataclass(eq=False, slots=True)
class _Waiter:
    """Hold a reader that waits: its organisation, its horizon, and the future of a new horizon."""

    organisation_id: UUID
    horizon: int
    new_horizon: "Future[int]" = field(default_factory=Future)

    def __post_init__(self) -> None:
        # From now on it cannot be cancelled while the watcher sets its result.
        self.new_horizon.set_running_or_notify_cancel()


class Watcher:
    """Run the checks on a thread of its own, which starts with the first waiter."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiters: set[_Waiter] = set()
        self._pid = 0
        self._is_closing = threading.Event()
        self._thread: threading.Thread | None = None

    async def wait(self, *, organisation_id: UUID, horizon: int, seconds: float) -> int | None:
        """Wait for events at or above `horizon`.

        Return the new horizon, below which they are; None when the time is up.
        """
        with self._registered(organisation_id, horizon) as new_horizon:
            future = asyncio.wrap_future(new_horizon)
            done, _ = await asyncio.wait([future], timeout=max(0, seconds))
            return done.pop().result() if done else None

    def wait_on_thread(self, *, organisation_id: UUID, horizon: int, seconds: float) -> int | None:
        """Wait as `wait` does, but block the calling thread."""
        with self._registered(organisation_id, horizon) as new_horizon:
            try:
                return new_horizon.result(max(0, seconds))
            except TimeoutError:
                return None

    def close(self) -> None:
        """Stop checking and close the connection. The next waiter starts the thread again."""
        thread = self._thread
        if thread is not None:
            self._is_closing.set()
            thread.join()

    @contextmanager
    def _registered(self, organisation_id: UUID, horizon: int) -> "Iterator[Future[int]]":
        waiter = _Waiter(organisation_id, horizon)
        with self._guard:
            self._waiters.add(waiter)
            # A forked child has the parent's fields but not its thread.
            if self._thread is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._is_closing.clear()
                self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
                self._thread.start()
        try:
            yield waiter.new_horizon
        finally:
            with self._guard:
                self._waiters.discard(waiter)

    def _run(self) -> None:
        ends = time.monotonic() + LINGER_SECONDS
        while not self._has_ended(ends):
            pause = CHECK_SECONDS
            horizons = self._oldest_horizons()
            if horizons:
                ends = time.monotonic() + LINGER_SECONDS
                pause = CHECK_SECONDS if self._check(horizons) else RETRY_SECONDS
            self._is_closing.wait(pause)
        connection.close()

    def _has_ended(self, ends: float) -> bool:
        """Return whether this thread is no longer needed. The next waiter starts a new one then."""
        with self._guard:
            is_idle = not self._waiters and time.monotonic() > ends
            if is_idle or self._is_closing.is_set():
                self._thread = None
                return True
            return False

    def _oldest_horizons(self) -> dict[UUID, int]:
        """Return organisation id -> the oldest horizon of its waiters."""
        horizons: dict[UUID, int] = {}
        with self._guard:
            for waiter in self._waiters:
                oldest = horizons.get(waiter.organisation_id, waiter.horizon)
                horizons[waiter.organisation_id] = min(oldest, waiter.horizon)
        return horizons

    def _check(self, horizons: Mapping[UUID, int]) -> bool:
        """Check for new events, and notify. Return False if it failed: the waiters keep waiting."""
        try:
            changes = events.feed_changes(since=horizons)
        except (OperationalError, InterfaceError) as error:
            outage.report(error)
        except Exception:
            logger.exception("the check for new events failed")
        else:
            outage.end()
            self._notify(horizons, changes)
            return True
        connection.close()
        return False

    def _notify(self, horizons: Mapping[UUID, int], changes: FeedChanges) -> None:
        with self._guard:
            for waiter in self._waiters:
                if waiter.horizon >= changes.horizon:
                    continue  # It registered during the check, and has read more than was checked.
                if waiter.organisation_id in changes.organisation_ids:
                    if not waiter.new_horizon.done():
                        waiter.new_horizon.set_result(changes.horizon)
                elif waiter.horizon >= horizons.get(waiter.organisation_id, changes.horizon):
                    waiter.horizon = changes.horizon


# One for each process.
watcher = Watcher()
