"""Wake drains: a hint that rows are due, never the reason that they are handled.

`wake("deliveries")` asks a worker process, after COMMIT, to drain now. A thread of its own sends
the message, at most one for each drain every `GAP_SECONDS`, so that a slow, silent or missing
broker never slows a request. A lost hint costs up to a second: the ticker finds overdue rows
itself.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from celery import current_app
from celery.worker import state

from apps.base.rows import after_commit

logger = logging.getLogger(__name__)

GAP_SECONDS = 0.05
AWAY_SECONDS = 1.0

# A queue with this many hints needs no more: its workers are busy, and will drain it.
ENOUGH_HINTS = 8


# The Celery task of each drain, by name; see `register`.
_jobs: dict[str, str] = {}

# What wakes each drain after a commit.
_requests: dict[str, Callable[[], None]] = {}


def register(drain: str, *, job: str) -> None:
    """Name the Celery task of a drain. Called by the wiring for each row of config/drains.py."""
    _jobs[drain] = job
    _requests[drain] = lambda: _waker.request(drain)


class Waker:
    """Send the hints collected since the last round, by one thread for each process."""

    def __init__(self) -> None:
        # Drain -> when to send its hint.
        self._requested: dict[str, float] = {}
        self._signal = threading.Event()
        self._guard = threading.Lock()
        self._pid = 0

    def request(self, drain: str) -> None:
        self.request_later(drain, seconds=0.0)

    def request_later(self, drain: str, *, seconds: float) -> None:
        with self._guard:
            at = time.monotonic() + seconds
            self._requested[drain] = min(at, self._requested.get(drain, at))
            # A forked child has the parent's fields but not its thread.
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self._send_forever, name="waker", daemon=True).start()
        self._signal.set()

    def _send_forever(self) -> None:
        while True:
            self._signal.wait(self._until_next())
            self._signal.clear()
            # An unreachable broker is not tried for every hint: the ticker works without it.
            is_reachable = all(send(drain) is not Sent.AWAY for drain in self._due())
            time.sleep(GAP_SECONDS if is_reachable else AWAY_SECONDS)

    def _due(self) -> list[str]:
        now = time.monotonic()
        with self._guard:
            due = [drain for drain, at in self._requested.items() if at <= now]
            for drain in due:
                del self._requested[drain]
        return due

    def _until_next(self) -> float | None:
        with self._guard:
            if not self._requested:
                return None
            return max(0.0, min(self._requested.values()) - time.monotonic())


_waker = Waker()


def wake(drain: str) -> None:
    """Wake `drain` once the present transaction has committed: once, however often it is asked."""
    assert drain in _jobs, f"unknown drain {drain}; add it to config/drains.py"
    after_commit(_requests[drain])


def wake_later(drain: str, *, seconds: float) -> None:
    """Wake `drain` in `seconds`: a hint like any other, lost if this process ends before."""
    assert drain in _jobs, f"unknown drain {drain}; add it to config/drains.py"
    _waker.request_later(drain, seconds=seconds)


class Sent(Enum):
    """Name the results of sending a hint."""

    TAKEN = "taken"  # the queue was empty
    WAITS = "waits"  # others wait in the queue: its workers are busy, or stopped
    AWAY = "away"  # the broker did not answer within 0.2 s


def send(drain: str) -> Sent:
    """Send one hint now, unless `ENOUGH_HINTS` wait already."""
    try:
        with current_app.producer_pool.acquire(block=True) as producer:
            channel: Any = producer.channel
            waiting = channel.client.llen(drain)
            if waiting < ENOUGH_HINTS:
                current_app.send_task(
                    _jobs[drain],
                    queue=drain,
                    retry=False,
                    ignore_result=True,
                    expires=30,
                    producer=producer,
                )
    except Exception as error:
        logger.debug("could not wake %s: %s", drain, error)
        return Sent.AWAY
    return Sent.WAITS if waiting else Sent.TAKEN


def has_hints(queues: Iterable[str]) -> bool:
    """Return whether hints wait in any of the queues; True if the broker does not answer."""
    try:
        with current_app.producer_pool.acquire(block=True) as producer:
            channel: Any = producer.channel
            return any(channel.client.llen(queue) for queue in queues)
    except Exception as error:
        logger.debug("could not count hints: %s", error)
        return True


def is_stopping() -> bool:
    """Return whether this worker process must end; a job that runs without end must check."""
    flags: tuple[object, ...] = (state.should_stop, state.should_terminate)
    return any(flag is not None and flag is not False for flag in flags)
