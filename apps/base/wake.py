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
from typing import Any

from celery import current_app
from django.db import transaction

logger = logging.getLogger(__name__)

DRAINS: dict[str, tuple[str, str]] = {
    "intake": ("apps.tasks.jobs.drain_intake", "lifecycle"),
    "matching": ("apps.matching.jobs.drain_matching", "lifecycle"),
    "verification": ("apps.reviews.jobs.drain_verification", "lifecycle"),
    "timers": ("apps.timers.jobs.drain_timers", "lifecycle"),
    "deliveries": ("apps.webhooks.jobs.drain_deliveries", "deliveries"),
    "recoveries": ("apps.webhooks.jobs.drain_recoveries", "bulk"),
}
"""Each drain's job and the queue (so the processes) that runs it."""

GAP_SECONDS = 0.05
AWAY_SECONDS = 1.0
ENOUGH_HINTS = 8
"""A queue with so many hints in it needs no more: its worker is busy, and will look."""


class Waker:
    """One thread for each process that sends the hints collected since it last looked."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self._signal = threading.Event()
        self._guard = threading.Lock()
        self._pid = 0

    def want(self, drain: str) -> None:
        with self._guard:
            self._wanted.add(drain)
            # A forked child has the parent's fields but not its thread.
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self._send_forever, name="waker", daemon=True).start()
        self._signal.set()

    def _send_forever(self) -> None:
        while True:
            self._signal.wait()
            self._signal.clear()
            with self._guard:
                wanted, self._wanted = self._wanted, set()
            # A broker that is away is not asked for every hint: the ticker does without it.
            is_here = all(send(drain) for drain in wanted)
            time.sleep(GAP_SECONDS if is_here else AWAY_SECONDS)


_waker = Waker()


def wake(drain: str) -> None:
    """Ask for `drain` (a key of `DRAINS`) once the present transaction has committed."""
    assert drain in DRAINS, f"unknown drain {drain}; add it to DRAINS"
    transaction.on_commit(lambda: _waker.want(drain))


def send(drain: str) -> bool:
    """Send one hint now. False when the broker did not take it within 0.2 s."""
    job, queue = DRAINS[drain]
    try:
        with current_app.producer_pool.acquire(block=True) as producer:
            channel: Any = producer.channel
            if channel.client.llen(queue) < ENOUGH_HINTS:
                current_app.send_task(
                    job, queue=queue, retry=False, ignore_result=True, expires=30, producer=producer
                )
    except Exception as error:
        logger.debug("could not wake %s: %s", drain, error)
        return False
    return True
