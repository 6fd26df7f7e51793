"""One watcher for each process: it looks for news, and whoever waits for some is told.

However many streams and long polls are open, there is one small statement every `LOOK_SECONDS`, by
one thread on one connection, and none at all while nobody waits.

1. A reader that found nothing below its horizon joins, naming that horizon: what is at or beyond it
   is news. Nothing slips through between its reading and its joining.
2. Each look asks, for every organisation that is waited for, whether there are events between the
   oldest such horizon and now's.
3. Those who waited for one that has some are told the new horizon, and read. The others have seen
   everything up to it.
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

LOOK_SECONDS = 0.2
AWAY_SECONDS = 1.0
"""The pause after a look that failed: the database is away, and is not to be stormed when it is back."""
LINGER_SECONDS = 2.0
"""How long the connection is kept with nobody waiting: between two calls of one reader, mostly."""


@dataclass(eq=False, slots=True)
class _Waiter:
    organisation_id: UUID
    since: int
    told: "Future[int]" = field(default_factory=Future)

    def __post_init__(self) -> None:
        # From now on it cannot be cancelled under the watcher's hands.
        self.told.set_running_or_notify_cancel()


class Watcher:
    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiters: set[_Waiter] = set()
        self._pid = 0
        self._is_away = False
        self._is_closing = threading.Event()
        self._thread: threading.Thread | None = None

    async def news(self, *, organisation_id: UUID, since: int, seconds: float) -> int | None:
        """The horizon at which there are events at or beyond `since`; None when none came in time."""
        with self._joined(organisation_id, since) as told:
            done, _ = await asyncio.wait([asyncio.wrap_future(told)], timeout=max(0, seconds))
            return done.pop().result() if done else None

    def news_for_thread(self, *, organisation_id: UUID, since: int, seconds: float) -> int | None:
        """`news`, for a caller that has a thread to wait on."""
        with self._joined(organisation_id, since) as told:
            try:
                return told.result(max(0, seconds))
            except TimeoutError:
                return None

    def close(self) -> None:
        """Stop looking and give the connection back. It begins again for the next who waits."""
        thread = self._thread
        if thread is not None:
            self._is_closing.set()
            thread.join()

    @contextmanager
    def _joined(self, organisation_id: UUID, since: int) -> "Iterator[Future[int]]":
        waiter = _Waiter(organisation_id, since)
        with self._guard:
            self._waiters.add(waiter)
            # A forked child has the parent's fields but not its thread.
            if self._thread is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._is_closing.clear()
                self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
                self._thread.start()
        try:
            yield waiter.told
        finally:
            with self._guard:
                self._waiters.discard(waiter)

    def _watch(self) -> None:
        ends = time.monotonic() + LINGER_SECONDS
        while not self._may_end(ends):
            pause = LOOK_SECONDS
            since = self._since()
            if since:
                ends = time.monotonic() + LINGER_SECONDS
                pause = LOOK_SECONDS if self._look(since) else AWAY_SECONDS
            self._is_closing.wait(pause)
        connection.close()

    def _may_end(self, ends: float) -> bool:
        """Whether this thread is done. The next who waits then gets a new one."""
        with self._guard:
            is_idle = not self._waiters and time.monotonic() > ends
            if is_idle or self._is_closing.is_set():
                self._thread = None
                return True
            return False

    def _since(self) -> dict[UUID, int]:
        """The oldest horizon of those who wait, by organisation."""
        since: dict[UUID, int] = {}
        with self._guard:
            for waiter in self._waiters:
                known = since.get(waiter.organisation_id, waiter.since)
                since[waiter.organisation_id] = min(known, waiter.since)
        return since

    def _look(self, since: Mapping[UUID, int]) -> bool:
        """Look, and tell. False when the database did not answer; those who wait go on waiting."""
        try:
            changes = events.feed_changes(since=since)
        except (OperationalError, InterfaceError) as error:
            outage.report(error)
        except Exception:
            logger.exception("the look for events failed")
        else:
            self._is_away = False
            outage.end()
            self._tell(since, changes)
            return True
        self._is_away = True
        connection.close()
        return False

    def _tell(self, since: Mapping[UUID, int], changes: FeedChanges) -> None:
        with self._guard:
            for waiter in self._waiters:
                if waiter.since >= changes.horizon:
                    continue  # It joined while we looked, and has seen more than we have.
                if waiter.organisation_id in changes.organisation_ids:
                    if not waiter.told.done():
                        waiter.told.set_result(changes.horizon)
                elif waiter.since >= since.get(waiter.organisation_id, changes.horizon):
                    waiter.since = changes.horizon


watcher = Watcher()
"""This process's."""
