"""The ticker: looks for due rows and sees to it that somebody handles them.

It looks at timers every `GLANCE_SECONDS` and at everything every `TICK_SECONDS`:

1. One statement tells which drains have due rows, and for how long the oldest has waited.
2. Each drain with due rows is woken through the broker.
3. Where the broker does not take the message, where hints lie there unread from one tick to the next,
   or where rows have been overdue for `PATIENCE_SECONDS` all the same, the ticker drains in its own
   process, one thread for each drain, so that a slow receiver of callbacks never delays an SLA clock.
   Queued tasks may rightly wait for days: for them only unread hints count.

Two tickers are harmless: rows are claimed with SKIP LOCKED, whoever drains them.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.db import Error, close_old_connections, connection
from oauth2_provider.models import clear_expired

from apps.api.services import forget_old_keys
from apps.base.drains import drain
from apps.base.outages import outage
from apps.base.wake import DRAINS, Sent, send
from apps.events.services import warn_of_horizon
from apps.matching.jobs import SHARE_SECONDS
from apps.matching.services import (
    forget_in_vain,
    look_for_stranded,
    match_queued,
    restore_requirements,
    set_out_forgotten,
)
from apps.pools.services import refresh_rating_means
from apps.reviews.services import verify_submitted
from apps.tasks.selectors import closed_before
from apps.tasks.services import delete_unused_requirements, queue_created
from apps.timers.services import fire_due
from apps.webhooks.services import (
    SOONEST_DELIVERY,
    deliver_due,
    forget_callbacks,
    release_recoveries,
    tidy_up,
)

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
GLANCE_SECONDS = 0.1
SHORTEST_SECONDS = 0.02
PATIENCE_SECONDS = 1.0

HERE: dict[str, Callable[[], object]] = {
    "intake": queue_created,
    "matching": lambda: drain(partial(match_queued, budget_seconds=SHARE_SECONDS)),
    "verification": verify_submitted,
    "timers": lambda: drain(fire_due),
    "deliveries": deliver_due,
    "recoveries": release_recoveries,
}
"""How the ticker does itself what it could not have done by a worker."""

OVERDUE = f"""
SELECT clock_timestamp() - (SELECT changed_at FROM tasks_task
                            WHERE status = 'created' AND gate_count = 0 ORDER BY id LIMIT 1),
    clock_timestamp() - (SELECT changed_at FROM tasks_task
                         WHERE status = 'queued' ORDER BY sort_at, id LIMIT 1),
    clock_timestamp() - (SELECT changed_at FROM tasks_task
                         WHERE status IN ('submitted', 'verified') ORDER BY id LIMIT 1),
    clock_timestamp() - (SELECT due_at FROM timers_timer ORDER BY due_at, id LIMIT 1),
    clock_timestamp() - ({SOONEST_DELIVERY}),
    clock_timestamp() - (SELECT min(next_slot_at) FROM webhooks_recovery
                         WHERE released_at IS NULL)
"""
"""For each drain, how long its first row has been due: negative is the time until it is. Each part
reads one row, or for deliveries one of each origin, off the index that the drain itself uses."""


@dataclass(frozen=True, slots=True)
class Look:
    """Seconds that the first row of each drain has been due; None where there is no row."""

    overdue: dict[str, float | None]

    def due(self) -> list[str]:
        return [name for name, age in self.overdue.items() if age is not None and age >= 0]

    def is_neglected(self, name: str) -> bool:
        age = self.overdue[name]
        return age is not None and age > PATIENCE_SECONDS

    def until_next(self) -> float:
        """Seconds to sleep: to the next due row, at most a tick."""
        coming = [-age for age in self.overdue.values() if age is not None and age < 0]
        return min([TICK_SECONDS, *coming])


def look() -> Look:
    with connection.cursor() as cursor:
        cursor.execute(OVERDUE)
        row = cursor.fetchone()
    names = ("intake", "matching", "verification", "timers", "deliveries", "recoveries")
    ages = [None if age is None else age.total_seconds() for age in row]
    return Look(dict(zip(names, ages, strict=True)))


NEXT_TIMER = (
    "SELECT clock_timestamp() - (SELECT due_at FROM timers_timer ORDER BY due_at, id LIMIT 1)"
)


def glance() -> float | None:
    """Return for how many seconds the first timer has been due; negative until it is, None for none."""
    with connection.cursor() as cursor:
        cursor.execute(NEXT_TIMER)
        (age,) = cursor.fetchone()
    return None if age is None else float(age.total_seconds())


SWEEPS: dict[str, tuple[float, Callable[[], object]]] = {
    "means": (10.0, refresh_rating_means),
    "horizon": (10.0, warn_of_horizon),
    "keys": (600.0, forget_old_keys),
    "deliveries": (600.0, tidy_up),
    "callbacks": (600.0, partial(forget_callbacks, are_over=closed_before)),
    "unmatched": (600.0, forget_in_vain),
    "requirements": (600.0, delete_unused_requirements),
    "missing": (60.0, restore_requirements),
    "stranded": (600.0, look_for_stranded),
    "tokens": (3600.0, clear_expired),
    "escalations": (600.0, set_out_forgotten),
}
"""What is done every so many seconds, whether anything is due or not: what is thrown away after its
time, what nobody waits for, and what fell between two calls. One that fails holds up no other."""


class Ticker:
    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._running: dict[str, threading.Thread] = {}
        self._is_broker_here = True
        # The drains whose hints were waiting at the last tick.
        self._unread: set[str] = set()
        self._looks_at = 0.0
        self._swept_at = dict.fromkeys(SWEEPS, time.monotonic())

    def run(self) -> None:
        """Tick until `stop`, or until the process is told to end."""
        while not self._stopped.is_set():
            self._stopped.wait(self.tick())

    def stop(self) -> None:
        self._stopped.set()

    def tick(self) -> float:
        """Look once and act. Return how many seconds to sleep."""
        try:
            if time.monotonic() < self._looks_at:
                return self._glance()
            self._looks_at = time.monotonic() + TICK_SECONDS
            seen = look()
        except Error as error:
            outage.report(error)
            close_old_connections()
            return TICK_SECONDS
        outage.end()
        self._act(seen)
        for name, (seconds, work) in SWEEPS.items():
            if time.monotonic() - self._swept_at[name] > seconds:
                self._swept_at[name] = time.monotonic()
                self._run_here(f"sweep {name}", work)
        return max(SHORTEST_SECONDS, min(GLANCE_SECONDS, seen.until_next()))

    def _glance(self) -> float:
        """Fire a timer in time that was set, for soon, after the last look."""
        age = glance()
        if age is not None and age >= 0:
            self._looks_at = 0.0
        until_due = GLANCE_SECONDS if age is None or age >= 0 else -age
        return max(SHORTEST_SECONDS, min(GLANCE_SECONDS, until_due))

    def _act(self, seen: Look) -> None:
        due = seen.due()
        unread = self._wake(due)
        for name in due:
            is_neglected = name != "matching" and seen.is_neglected(name)
            if not self._is_broker_here or is_neglected or name in unread & self._unread:
                self._run_here(name, HERE[name])
        self._unread = unread

    def _wake(self, due: list[str]) -> set[str]:
        """Wake the drains; a broker that does not take the first message is not asked again. Return
        those of which hints were waiting.
        """
        unread = set()
        is_here = True
        for name in due:
            sent = send(name)
            is_here = sent is not Sent.AWAY
            if not is_here:
                break
            if sent is Sent.WAITS:
                unread.add(name)
        if due and is_here is not self._is_broker_here:
            self._is_broker_here = is_here
            logger.warning(
                "the broker is back" if is_here else "the broker is away; draining in this process"
            )
        return unread

    def _run_here(self, name: str, work: Callable[[], object]) -> None:
        """Do it in a thread of its own, unless it is still at it."""
        running = self._running.get(name)
        if running is not None and running.is_alive():
            return
        thread = threading.Thread(target=_safely, args=(name, work), name=name, daemon=True)
        self._running[name] = thread
        thread.start()


def _safely(name: str, work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:
        logger.exception("%s failed in the ticker; the rows stay due", name)
    finally:
        connection.close()


assert set(HERE) == set(DRAINS), "a drain that the ticker cannot do itself"
