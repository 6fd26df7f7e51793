"""The ticker: looks for due rows and sees to it that somebody handles them.

Every second, and at the moment when the next timer is due:

1. One statement tells which drains have due rows, and for how long the oldest has waited.
2. Each drain with due rows is woken through the broker.
3. Where the broker does not take the message, or rows have been overdue for `PATIENCE_SECONDS`
   all the same, the ticker drains in its own process, one thread for each drain, so that a slow
   receiver of callbacks never delays an SLA clock.

Two tickers are harmless: rows are claimed with SKIP LOCKED, whoever drains them.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import Error, close_old_connections, connection

from apps.api.services import forget_old_keys
from apps.base.drains import drain
from apps.base.wake import DRAINS, send
from apps.matching.services import match_queued
from apps.reviews.services import verify_next
from apps.tasks.services import queue_next
from apps.timers.services import fire_due
from apps.webhooks.services import deliver_due

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
PATIENCE_SECONDS = 2.0
SWEEP_SECONDS = 600.0

HERE: dict[str, Callable[[], object]] = {
    "intake": lambda: drain(queue_next),
    "matching": match_queued,
    "verification": lambda: drain(verify_next),
    "timers": lambda: drain(fire_due),
    "deliveries": deliver_due,
}
"""How the ticker does itself what it could not have done by a worker."""

OVERDUE = """
SELECT clock_timestamp() - (SELECT min(changed_at) FROM tasks_task
                            WHERE status = 'created' AND gate_count = 0),
    clock_timestamp() - (SELECT min(changed_at) FROM tasks_task WHERE status = 'queued'),
    clock_timestamp() - (SELECT min(changed_at) FROM tasks_task
                         WHERE status IN ('submitted', 'verified')),
    clock_timestamp() - (SELECT min(due_at) FROM timers_timer),
    clock_timestamp() - (SELECT min(due_at) FROM webhooks_delivery WHERE status = 'pending')
"""
"""For each drain, how long its oldest row has been due: negative is the time until it is."""


@dataclass(frozen=True, slots=True)
class Look:
    """Seconds that the oldest row of each drain has been due; None where there is no row."""

    overdue: dict[str, float | None]

    def due(self) -> list[str]:
        return [name for name, age in self.overdue.items() if age is not None and age >= 0]

    def is_neglected(self, name: str) -> bool:
        # Queued tasks may wait for a worker for days: that is not neglect.
        age = self.overdue[name]
        return name != "matching" and age is not None and age > PATIENCE_SECONDS

    def until_next(self) -> float:
        """Seconds to sleep: to the next due row, at most a tick."""
        coming = [-age for age in self.overdue.values() if age is not None and age < 0]
        return min([TICK_SECONDS, *coming])


def look() -> Look:
    with connection.cursor() as cursor:
        cursor.execute(OVERDUE)
        row = cursor.fetchone()
    names = ("intake", "matching", "verification", "timers", "deliveries")
    ages = [None if age is None else age.total_seconds() for age in row]
    return Look(dict(zip(names, ages, strict=True)))


class Ticker:
    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._draining: dict[str, threading.Thread] = {}
        self._is_broker_here = True
        self._swept_at = time.monotonic()

    def run(self) -> None:
        """Tick until `stop`, or until the process is told to end."""
        while not self._stopped.is_set():
            self._stopped.wait(self.tick())

    def stop(self) -> None:
        self._stopped.set()

    def tick(self) -> float:
        """Look once and act. Answers how many seconds to sleep."""
        try:
            seen = look()
        except Error as error:
            logger.warning("the database does not answer: %s", str(error).strip().split("\n")[0])
            close_old_connections()
            return TICK_SECONDS
        for name in seen.due():
            self._see_to(name, is_neglected=seen.is_neglected(name))
        self._sweep()
        return max(0.01, seen.until_next())

    def _see_to(self, name: str, *, is_neglected: bool) -> None:
        was_woken = send(name)
        if was_woken is not self._is_broker_here:
            self._is_broker_here = was_woken
            logger.warning(
                "the broker is back"
                if was_woken
                else "the broker is away; draining in this process"
            )
        if is_neglected or not was_woken:
            self._drain_here(name)

    def _drain_here(self, name: str) -> None:
        running = self._draining.get(name)
        if running is not None and running.is_alive():
            return
        thread = threading.Thread(target=_drain, args=(name,), name=f"drain-{name}", daemon=True)
        self._draining[name] = thread
        thread.start()

    def _sweep(self) -> None:
        """Now and then, throw away what is only kept for a while."""
        if time.monotonic() - self._swept_at > SWEEP_SECONDS:
            self._swept_at = time.monotonic()
            forget_old_keys()


def _drain(name: str) -> None:
    try:
        HERE[name]()
    except Exception:
        logger.exception("draining %s failed; the rows stay due", name)
    finally:
        connection.close()


assert set(HERE) == set(DRAINS), "a drain that the ticker cannot do itself"
