"""Wake the drains, and run them where no worker does.

The ticker checks timers every `GLANCE_SECONDS` and all drains (config/drains.py) every
`TICK_SECONDS`:

1. One statement reads which drains have due rows, and since when.
2. Each drain with due rows is woken through the broker.
3. The ticker runs a drain in its own process where the broker does not accept the message, where
   hints have been unread from one tick to the next, or where rows are overdue by `PATIENCE_SECONDS`
   all the same. Each drain has a thread of its own, so that a slow receiver of callbacks never
   delays an SLA clock.

Two tickers are harmless: drains claim rows with SKIP LOCKED.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.db import Error, close_old_connections, connection

from apps.accounts.services import delete_expired_tokens, purge_sign_ins, sign_audit_heads
from apps.agents.services import find_stranded_reviews, move_reviews, stop_silent_sessions
from apps.api.services import delete_old_keys
from apps.base.drains import drain as call_until_done
from apps.base.outages import outage
from apps.base.wake import Sent, send
from apps.events.services import warn_of_horizon
from apps.matching.services import (
    restore_requirements,
    schedule_missed_steps,
    schedule_stranded_checks,
    unpark_unused,
)
from apps.operations.heartbeat import drain_log
from apps.operations.services import (
    CYCLE_SECONDS,
    clean_up_listed,
    clean_up_rollups,
    delete_dead_processes,
    delete_force_windows,
    recount_if_due,
    step_starved,
)
from apps.pools.services import refresh_rating_means
from apps.tasks.selectors import closed_before
from apps.tasks.services import delete_due_files, delete_unused_requirements
from apps.webhooks.services import apply_retention, delete_old_callbacks
from config.drains import DRAINS, Drain

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
GLANCE_SECONDS = 0.1
SHORTEST_SECONDS = 0.02
PATIENCE_SECONDS = 1.0

DUE = f"""
SELECT {", ".join(f"clock_timestamp() - ({drain.due_sql()})" for drain in DRAINS)}
"""
# Between two ticks only timers are checked: they are set for a time soon to come, and must be on
# time.
NEXT_TIMER = (
    "SELECT clock_timestamp() - (SELECT due_at FROM timers_timer ORDER BY due_at, id LIMIT 1)"
)


@dataclass(frozen=True, slots=True)
class DueRows:
    """Hold for each drain the seconds that its first row has been due.

    Negative until it is due, None where there is no row.
    """

    ages: dict[str, float | None]

    def due_drains(self) -> list[Drain]:
        return [
            drain for drain in DRAINS if (age := self.ages[drain.name]) is not None and age >= 0
        ]

    def is_neglected(self, drain: Drain) -> bool:
        """Return whether no worker seems to run this drain."""
        age = self.ages[drain.name]
        return not drain.may_wait and age is not None and age > PATIENCE_SECONDS

    def seconds_to_next(self) -> float:
        """Return the seconds until the next row is due, at most a tick."""
        remaining = [-age for age in self.ages.values() if age is not None and age < 0]
        return min([TICK_SECONDS, *remaining])


def read_due_rows() -> DueRows:
    with connection.cursor() as cursor:
        cursor.execute(DUE)
        row = cursor.fetchone()
    ages = [None if age is None else age.total_seconds() for age in row]
    return DueRows(dict(zip((drain.name for drain in DRAINS), ages, strict=True)))


def read_timer_age() -> float | None:
    """Return how many seconds the first timer has been due; negative until it is, None for none."""
    with connection.cursor() as cursor:
        cursor.execute(NEXT_TIMER)
        (age,) = cursor.fetchone()
    return None if age is None else float(age.total_seconds())


# Seconds between two runs, and what to run, whether rows are due or not: it deletes what has
# expired, and repairs what a process that died left behind. A sweep that fails does not affect the
# others.
SWEEPS: dict[str, tuple[float, Callable[[], object]]] = {
    "means": (10.0, refresh_rating_means),
    "horizon": (10.0, warn_of_horizon),
    "idempotency_keys": (600.0, delete_old_keys),
    "webhook_retention": (600.0, apply_retention),
    "callbacks": (600.0, partial(delete_old_callbacks, select_ended=closed_before)),
    "unused_parked": (600.0, unpark_unused),
    "requirements": (600.0, delete_unused_requirements),
    "files": (60.0, delete_due_files),
    "restored_requirements": (60.0, restore_requirements),
    "stranded": (600.0, schedule_stranded_checks),
    "tokens": (600.0, partial(call_until_done, delete_expired_tokens)),
    "sign_ins": (600.0, purge_sign_ins),
    "audit_heads": (600.0, sign_audit_heads),
    "escalations": (600.0, schedule_missed_steps),
    "recount": (10.0, recount_if_due),
    "rollups": (600.0, clean_up_rollups),
    "listed": (600.0, clean_up_listed),
    "processes": (60.0, delete_dead_processes),
    "sessions": (600.0, partial(call_until_done, stop_silent_sessions)),
    "starvation": (CYCLE_SECONDS, partial(call_until_done, step_starved)),
    "run_reviews": (5.0, partial(call_until_done, move_reviews)),
    "stranded_reviews": (60.0, find_stranded_reviews),
    "force_windows": (600.0, delete_force_windows),
}


class Ticker:
    """Wake and run drains until stopped."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._running: dict[str, threading.Thread] = {}
        self._is_broker_available = True
        # The drains with unread hints at the last tick.
        self._unread: set[str] = set()
        self._next_tick_at = 0.0
        self._swept_at = dict.fromkeys(SWEEPS, time.monotonic())

    def run(self) -> None:
        """Tick until `stop` is called or the process ends."""
        while not self._stopped.is_set():
            self._stopped.wait(self.tick())

    def stop(self) -> None:
        self._stopped.set()

    def tick(self) -> float:
        """Check once and act. Return how many seconds to sleep."""
        try:
            if time.monotonic() < self._next_tick_at:
                return self._glance()
            self._next_tick_at = time.monotonic() + TICK_SECONDS
            rows = read_due_rows()
        except Error as error:
            outage.report(error)
            close_old_connections()
            return TICK_SECONDS
        outage.end()
        self._act(rows)
        for name, (seconds, work) in SWEEPS.items():
            if time.monotonic() - self._swept_at[name] > seconds:
                self._swept_at[name] = time.monotonic()
                self._run(f"sweep {name}", work)
        return max(SHORTEST_SECONDS, min(GLANCE_SECONDS, rows.seconds_to_next()))

    def _glance(self) -> float:
        """Bring the next tick forward if a timer that was set after the last one is due."""
        age = read_timer_age()
        if age is not None and age >= 0:
            self._next_tick_at = 0.0
        until_due = GLANCE_SECONDS if age is None or age >= 0 else -age
        return max(SHORTEST_SECONDS, min(GLANCE_SECONDS, until_due))

    def _act(self, rows: DueRows) -> None:
        drains = rows.due_drains()
        unread = self._wake(drains)
        for drain in drains:
            is_unread = drain.name in unread & self._unread
            if not self._is_broker_available or rows.is_neglected(drain) or is_unread:
                self._run(drain.name, partial(_drain, drain))
        self._unread = unread

    def _wake(self, drains: list[Drain]) -> set[str]:
        """Send a hint to each drain. Return the names of those that had unread hints.

        Stop at the first hint that the broker does not accept.
        """
        unread = set()
        is_available = True
        for drain in drains:
            sent = send(drain.name)
            is_available = sent is not Sent.AWAY
            if not is_available:
                break
            if sent is Sent.WAITS:
                unread.add(drain.name)
        if drains and is_available is not self._is_broker_available:
            self._is_broker_available = is_available
            logger.warning(
                "the broker is available again"
                if is_available
                else "the broker is not available; draining in this process"
            )
        return unread

    def _run(self, name: str, work: Callable[[], object]) -> None:
        """Do the work in a thread of its own, unless the last one still runs."""
        last = self._running.get(name)
        if last is not None and last.is_alive():
            return
        thread = threading.Thread(target=_safely, args=(name, work), name=name, daemon=True)
        self._running[name] = thread
        thread.start()


def _drain(drain: Drain) -> None:
    drain_log.began(drain.name)
    try:
        call_until_done(drain.load_run_once())
    finally:
        drain_log.ended(drain.name)


def _safely(name: str, work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:
        logger.exception("%s failed in the ticker; the rows stay due", name)
    finally:
        connection.close()
