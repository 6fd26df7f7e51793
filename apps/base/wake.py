"""Waking a drain: a hint that rows are due, never the reason that they are handled.

`wake("deliveries")` after COMMIT asks a worker process to drain now. The message is sent by a
thread of its own, at most one for each drain every `GAP_SECONDS`, so that a request is never slower
because the broker is slow, silent or gone. A hint that is lost costs up to a second: the ticker
looks for overdue rows itself.
"""

import logging
import os
import threading
import time
from collections.abc import Iterable
from enum import Enum
from typing import Any

from celery import current_app
from celery.worker import state
from django.db import transaction

logger = logging.getLogger(__name__)

DRAINS: dict[str, str] = {
    "intake": "apps.tasks.jobs.drain_intake",
    "matching": "apps.matching.jobs.drain_matching",
    "verification": "apps.reviews.jobs.drain_verification",
    "timers": "apps.timers.jobs.drain_timers",
    "deliveries": "apps.webhooks.jobs.drain_deliveries",
    "recoveries": "apps.webhooks.jobs.drain_recoveries",
}
"""Each drain's job. A drain has a queue of its own, of its own name: hints for one never crowd out
another's."""

GROUPS: dict[str, tuple[str, ...]] = {
    "lifecycle": ("timers", "intake", "verification", "matching"),
    "matching": ("matching",),
    "deliveries": ("deliveries",),
    "bulk": ("recoveries",),
}
"""The drains that a worker process is started for, by the name of the group."""

GAP_SECONDS = 0.05
AWAY_SECONDS = 1.0
ENOUGH_HINTS = 8
"""A queue with so many hints in it needs no more: its workers are busy, and will look."""


def queues_of(*groups: str) -> list[str]:
    """Return the queues of some groups. Hints of version 0.1 went to queues named as the groups are."""
    return list(dict.fromkeys([*(drain for group in groups for drain in GROUPS[group]), *groups]))


class Waker:
    """One thread for each process that sends the hints collected since it last looked."""

    def __init__(self) -> None:
        # Drain -> when to send its hint.
        self._wanted: dict[str, float] = {}
        self._signal = threading.Event()
        self._guard = threading.Lock()
        self._pid = 0

    def want(self, drain: str) -> None:
        self.want_later(drain, seconds=0.0)

    def want_later(self, drain: str, *, seconds: float) -> None:
        with self._guard:
            at = time.monotonic() + seconds
            self._wanted[drain] = min(at, self._wanted.get(drain, at))
            # A forked child has the parent's fields but not its thread.
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self._send_forever, name="waker", daemon=True).start()
        self._signal.set()

    def _send_forever(self) -> None:
        while True:
            self._signal.wait(self._until_next())
            self._signal.clear()
            # A broker that is away is not asked for every hint: the ticker does without it.
            is_here = all(send(drain) is not Sent.AWAY for drain in self._due())
            time.sleep(GAP_SECONDS if is_here else AWAY_SECONDS)

    def _due(self) -> list[str]:
        now = time.monotonic()
        with self._guard:
            due = [drain for drain, at in self._wanted.items() if at <= now]
            for drain in due:
                del self._wanted[drain]
        return due

    def _until_next(self) -> float | None:
        with self._guard:
            if not self._wanted:
                return None
            return max(0.0, min(self._wanted.values()) - time.monotonic())


_waker = Waker()


def wake(drain: str) -> None:
    """Ask for `drain` (a key of `DRAINS`) once the present transaction has committed."""
    assert drain in DRAINS, f"unknown drain {drain}; add it to DRAINS"
    transaction.on_commit(lambda: _waker.want(drain))


def wake_later(drain: str, *, seconds: float) -> None:
    """Ask for `drain` in so many seconds: a hint like any other, lost when this process ends before."""
    assert drain in DRAINS, f"unknown drain {drain}; add it to DRAINS"
    _waker.want_later(drain, seconds=seconds)


class Sent(Enum):
    """What became of a hint."""

    TAKEN = "taken"  # no other was waiting
    WAITS = "waits"  # others were: whoever handles them is busy, or gone
    AWAY = "away"  # the broker did not answer within 0.2 s


def send(drain: str) -> Sent:
    """Send one hint now, unless enough of them wait already."""
    try:
        with current_app.producer_pool.acquire(block=True) as producer:
            channel: Any = producer.channel
            waiting = channel.client.llen(drain)
            if waiting < ENOUGH_HINTS:
                current_app.send_task(
                    DRAINS[drain],
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
    """Whether hints wait in any of the queues. A broker that does not answer is taken to have some."""
    try:
        with current_app.producer_pool.acquire(block=True) as producer:
            channel: Any = producer.channel
            return any(channel.client.llen(queue) for queue in queues)
    except Exception as error:
        logger.debug("could not look for hints: %s", error)
        return True


def is_told_to_stop() -> bool:
    """Whether this worker process was asked to end: a job that goes on by itself must look."""
    asked: tuple[object, ...] = (state.should_stop, state.should_terminate)
    return any(one is not None and one is not False for one in asked)
