"""Look for new events of tasks on behalf of all streams of a process, and in which order to send.

A stream sends by number. A transaction may commit a number after another one has committed a
greater one, so a number can be sent once all up to it are *settled*: written, or never to be.

1. Read the last number that was taken, then which transactions run. A transaction that took a number
   up to it had an id before, since it locked a task: it is among those, or has ended.
2. Once all of those have ended, every number up to that one is settled.
3. A stream is woken when one of its tasks has an event after its last one, and more is settled.

However many streams wait, there is one look every `CHECK_SECONDS`, on one thread and connection;
none while no stream waits.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from apps.base.db_threads import run_on_thread
from apps.base.outages import outage
from apps.operations.selectors.views import latest_sequences

logger = logging.getLogger(__name__)

CHECK_SECONDS = 0.25
# The pause after a look that failed.
RETRY_SECONDS = 1.0

LAST_NUMBER = "SELECT last_value FROM events_event_id_seq"
RUNNING = """
SELECT pg_snapshot_xmin(seen)::text::bigint, pg_snapshot_xmax(seen)::text::bigint
FROM pg_current_snapshot() AS seen
"""


@dataclass(frozen=True, slots=True)
class Look:
    """Hold what a look has read, in this order."""

    last_number: int
    # The oldest transaction that runs, and the one that begins next: equal where none runs.
    oldest: int
    next: int
    # Of each task the number of its latest event.
    latest: Mapping[UUID, int]


def look(task_ids: Collection[UUID]) -> Look:
    """Read what there is of these tasks, and which numbers were taken."""
    with connection.cursor() as cursor:
        # Apart: the number must be read before the snapshot is taken.
        cursor.execute(LAST_NUMBER)
        (last_number,) = cursor.fetchone()
        cursor.execute(RUNNING)
        oldest, following = cursor.fetchone()
    return Look(last_number, oldest, following, latest_sequences(list(task_ids)))


@dataclass(slots=True)
class Settled:
    """Compute from looks, one after another, up to which number all are settled."""

    number: int = 0
    # A number that was taken, and the transaction before which all must have ended.
    _awaited: tuple[int, int] | None = None

    def learn(self, seen: Look) -> None:
        if self._awaited is not None and seen.oldest >= self._awaited[1]:
            self.number, self._awaited = max(self.number, self._awaited[0]), None
        if seen.oldest >= seen.next:
            self.number, self._awaited = max(self.number, seen.last_number), None
        elif self._awaited is None:
            self._awaited = (seen.last_number, seen.next)


@dataclass(eq=False, slots=True)
class _Waiter:
    """Hold a stream that waits, and up to which number it has sent and read."""

    task_ids: Collection[UUID]
    sent: int
    read: int
    settled: "asyncio.Future[int]" = field(default_factory=asyncio.Future)


class LogWatcher:
    """Wake streams of one event loop."""

    def __init__(self) -> None:
        self._waiters: set[_Waiter] = set()
        self._looking: asyncio.Task[None] | None = None
        self._settled = Settled()

    async def wait(
        self, task_ids: Collection[UUID], *, sent: int, read: int, seconds: float
    ) -> int | None:
        """Wait for an event of the tasks after `sent`, where nothing is left up to `read`.

        Return up to which number they can be read now; None when the time is up.
        """
        waiter = _Waiter(task_ids, sent, read)
        self._waiters.add(waiter)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            done, _ = await asyncio.wait([waiter.settled], timeout=max(0, seconds))
            return waiter.settled.result() if done else None
        finally:
            self._waiters.discard(waiter)

    async def _look(self) -> None:
        while self._waiters:
            ids = {task_id for waiter in self._waiters for task_id in waiter.task_ids}
            pause = CHECK_SECONDS
            try:
                self._notify(await run_on_thread(look, ids))
                outage.end()
            except (OperationalError, InterfaceError) as error:
                outage.report(error)
                pause = RETRY_SECONDS
            except Exception:
                logger.exception("the look for new events of tasks failed")
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)

    def _notify(self, seen: Look) -> None:
        self._settled.learn(seen)
        number = self._settled.number
        for waiter in self._waiters:
            newest = max((seen.latest.get(id_, 0) for id_ in waiter.task_ids), default=0)
            if number > waiter.read and newest > waiter.sent and not waiter.settled.done():
                waiter.settled.set_result(number)


# One for each process, which has one event loop.
watcher = LogWatcher()
