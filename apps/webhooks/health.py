"""How an origin fares: how many attempts it may have at once, and when it is left alone.

Pure rules over values; recording.py reads and writes the rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

FIRST_CONCURRENCY = 4.0
MAX_CONCURRENCY = 64.0
WINDOW_MINUTES = 5
OPENS_AT_REQUESTS = 10
OPENS_AT_FAILURE_RATIO = 0.7
OPENS_AT_TIMEOUTS = 5
FIRST_PROBE_SECONDS = 30
MAX_PROBE_SECONDS = 15 * 60

Bucket = tuple[int, int, int]
"""A minute since 1970, its attempts, its failures."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One attempt as the origin's health sees it."""

    claimed_at: datetime
    ended_at: datetime
    is_success: bool
    is_timeout: bool = False
    status_code: int | None = None
    # How long a `Retry-After` asks us to stay away.
    asked_to_wait: timedelta | None = None

    @property
    def asks_to_slow_down(self) -> bool:
        return self.is_timeout or self.status_code == 429


@dataclass(frozen=True, slots=True)
class Health:
    """The part of an origin's row that its answers change."""

    concurrency: float = FIRST_CONCURRENCY
    timeouts_in_row: int = 0
    recent: tuple[Bucket, ...] = ()
    open_until: datetime | None = None
    probe_seconds: int = 0
    held_until: datetime | None = None

    def after(self, attempts: Iterable[Seen]) -> "Health":
        """The health after some attempts, in the order in which they ended."""
        ordered = sorted(attempts, key=lambda seen: seen.ended_at)
        health = self
        for seen in ordered:
            health = _held(_judged(_counted(health, seen), seen), seen)
        # Those that failed together were one round: it halves the limit once.
        if any(seen.asks_to_slow_down for seen in ordered):
            halved = min(self.concurrency, health.concurrency) / 2
            return replace(health, concurrency=max(1.0, halved))
        return health


def _counted(health: Health, seen: Seen) -> Health:
    grown = health.concurrency + (1 / health.concurrency if seen.is_success else 0)
    return replace(
        health,
        concurrency=min(MAX_CONCURRENCY, grown),
        timeouts_in_row=health.timeouts_in_row + 1 if seen.is_timeout else 0,
        recent=_with(health.recent, seen),
    )


def _judged(health: Health, seen: Seen) -> Health:
    """The breaker: opens on too many failures, and closes with the first probe that succeeds."""
    if health.open_until is not None:
        # What was under way when the breaker opened says nothing new; a probe does.
        return _after_probe(health, seen) if seen.claimed_at >= health.open_until else health
    # Whatever failed before, a receiver that has just answered well is there.
    if seen.is_success or not _is_broken(health):
        return health
    return _opened(health, FIRST_PROBE_SECONDS, seen.ended_at)


def _is_broken(health: Health) -> bool:
    requests = sum(bucket[1] for bucket in health.recent)
    failures = sum(bucket[2] for bucket in health.recent)
    return health.timeouts_in_row >= OPENS_AT_TIMEOUTS or (
        requests >= OPENS_AT_REQUESTS and failures >= OPENS_AT_FAILURE_RATIO * requests
    )


def _after_probe(health: Health, seen: Seen) -> Health:
    if seen.is_success:
        return Health(held_until=health.held_until)
    return _opened(health, min(health.probe_seconds * 2, MAX_PROBE_SECONDS), seen.ended_at)


def _opened(health: Health, seconds: int, at: datetime) -> Health:
    return replace(health, open_until=at + timedelta(seconds=seconds), probe_seconds=seconds)


def _held(health: Health, seen: Seen) -> Health:
    """A `Retry-After` with a 429 or 503 speaks for the whole origin."""
    if seen.asked_to_wait is None:
        return health
    until = seen.ended_at + seen.asked_to_wait
    return replace(health, held_until=max(until, health.held_until or until))


def _with(recent: tuple[Bucket, ...], seen: Seen) -> tuple[Bucket, ...]:
    """The window with one more attempt in it, and without what is older than five minutes."""
    minute = int(seen.ended_at.timestamp() // 60)
    counts = {bucket[0]: bucket for bucket in recent if bucket[0] > minute - WINDOW_MINUTES}
    _, requests, failures = counts.get(minute, (minute, 0, 0))
    counts[minute] = (minute, requests + 1, failures + (not seen.is_success))
    return tuple(sorted(counts.values()))


def buckets(stored: Iterable[Iterable[Any]]) -> tuple[Bucket, ...]:
    """The window as the row's JSON has it."""
    return tuple(
        (int(minute), int(requests), int(failures)) for minute, requests, failures in stored
    )


WARNED_AFTER_HOURS = (1, 24, 72)
DISABLED_AFTER = timedelta(days=5)
DISABLED_AT_FAILURES = 20
DISABLED_AT_EVENTS = 3


@dataclass(frozen=True, slots=True)
class Streak:
    """An endpoint's failures since its last success."""

    failing_since: datetime | None = None
    failure_count: int = 0
    # The last warning given: 0, 1, 24 or 72.
    warned_hours: int = 0

    def after(self, attempts: Iterable[Seen]) -> "Streak":
        """The streak after some attempts, in the order in which they ended."""
        streak = self
        for seen in sorted(attempts, key=lambda seen: seen.ended_at):
            streak = Streak() if seen.is_success else streak._longer(seen.ended_at)
        return streak

    def _longer(self, at: datetime) -> "Streak":
        since = self.failing_since or at
        return replace(self, failing_since=since, failure_count=self.failure_count + 1)

    def warning_at(self, at: datetime) -> int | None:
        """The hours of a warning that is due and was not given yet; the latest, if several are."""
        if self.failing_since is None:
            return None
        hours = (at - self.failing_since) / timedelta(hours=1)
        due = max((each for each in WARNED_AFTER_HOURS if each <= hours), default=0)
        return due if due > self.warned_hours else None

    def has_lasted(self, at: datetime) -> bool:
        """Whether it is long enough to disable the endpoint, if enough events were concerned."""
        return (
            self.failing_since is not None
            and at - self.failing_since >= DISABLED_AFTER
            and self.failure_count >= DISABLED_AT_FAILURES
        )
