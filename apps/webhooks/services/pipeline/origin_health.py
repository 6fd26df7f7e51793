"""Compute an origin's limits from its attempts: concurrency, circuit breaker, `Retry-After`.

Pure rules over values; recording.py reads and writes the rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

# New rows of webhooks_origin have it as db_default, too (models/destinations.py).
FIRST_CONCURRENCY = 4.0
MAX_CONCURRENCY = 64.0

# The breaker opens at this ratio of failures, once there were enough attempts in the window, or at
# this many timeouts in a row.
BREAKER_WINDOW_MINUTES = 5
BREAKER_MIN_ATTEMPTS = 10
BREAKER_FAILURE_RATIO = 0.7
BREAKER_TIMEOUTS = 5
BREAKER_FIRST_PROBE_SECONDS = 30
BREAKER_MAX_PROBE_SECONDS = 15 * 60

# A minute since 1970, its attempts, its failures.
MinuteCount = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Observation:
    """Describe one ended attempt as the origin's health counts it."""

    claimed_at: datetime
    ended_at: datetime
    is_success: bool
    is_timeout: bool = False
    status_code: int | None = None
    # How long a `Retry-After` requests us to wait.
    retry_after: timedelta | None = None

    @property
    def is_overload(self) -> bool:
        return self.is_timeout or self.status_code == 429


@dataclass(frozen=True, slots=True)
class OriginHealth:
    """Hold the columns of an origin's row that its attempts change."""

    concurrency: float = FIRST_CONCURRENCY
    timeouts_in_row: int = 0
    recent: tuple[MinuteCount, ...] = ()
    open_until: datetime | None = None
    probe_seconds: int = 0
    held_until: datetime | None = None

    def after(self, attempts: Iterable[Observation]) -> "OriginHealth":
        """Return the health after some attempts, in the order in which they ended."""
        ordered = sorted(attempts, key=lambda attempt: attempt.ended_at)
        health = self
        for attempt in ordered:
            health = _held(_with_breaker(_counted(health, attempt), attempt), attempt)
        # Attempts that failed together were one round: they halve the limit once.
        if any(attempt.is_overload for attempt in ordered):
            halved = min(self.concurrency, health.concurrency) / 2
            return replace(health, concurrency=max(1.0, halved))
        return health


def _counted(health: OriginHealth, attempt: Observation) -> OriginHealth:
    grown = health.concurrency + (1 / health.concurrency if attempt.is_success else 0)
    return replace(
        health,
        concurrency=min(MAX_CONCURRENCY, grown),
        timeouts_in_row=health.timeouts_in_row + 1 if attempt.is_timeout else 0,
        recent=_with_count(health.recent, attempt),
    )


def _with_breaker(health: OriginHealth, attempt: Observation) -> OriginHealth:
    """Open the breaker on too many failures; close it with the first probe that succeeds."""
    if health.open_until is not None:
        # Attempts that were under way when the breaker opened say nothing new; a probe does.
        is_probe = attempt.claimed_at >= health.open_until
        return _after_probe(health, attempt) if is_probe else health
    # A receiver that has just succeeded is available, even if others failed before.
    if attempt.is_success or not _is_failing(health):
        return health
    return _opened(health, BREAKER_FIRST_PROBE_SECONDS, attempt.ended_at)


def _is_failing(health: OriginHealth) -> bool:
    attempts = sum(count[1] for count in health.recent)
    failures = sum(count[2] for count in health.recent)
    return health.timeouts_in_row >= BREAKER_TIMEOUTS or (
        attempts >= BREAKER_MIN_ATTEMPTS and failures >= BREAKER_FAILURE_RATIO * attempts
    )


def _after_probe(health: OriginHealth, attempt: Observation) -> OriginHealth:
    if attempt.is_success:
        return OriginHealth(held_until=health.held_until)
    return _opened(
        health, min(health.probe_seconds * 2, BREAKER_MAX_PROBE_SECONDS), attempt.ended_at
    )


def _opened(health: OriginHealth, seconds: int, at: datetime) -> OriginHealth:
    return replace(health, open_until=at + timedelta(seconds=seconds), probe_seconds=seconds)


def _held(health: OriginHealth, attempt: Observation) -> OriginHealth:
    """Apply a `Retry-After` with a 429 or 503, which holds for the whole origin."""
    if attempt.retry_after is None:
        return health
    until = attempt.ended_at + attempt.retry_after
    return replace(health, held_until=max(until, health.held_until or until))


def _with_count(recent: tuple[MinuteCount, ...], attempt: Observation) -> tuple[MinuteCount, ...]:
    """Return the window with one more attempt, without counts that are too old."""
    minute = int(attempt.ended_at.timestamp() // 60)
    counts = {count[0]: count for count in recent if count[0] > minute - BREAKER_WINDOW_MINUTES}
    _, attempts, failures = counts.get(minute, (minute, 0, 0))
    counts[minute] = (minute, attempts + 1, failures + (not attempt.is_success))
    return tuple(sorted(counts.values()))


def minute_counts(stored: Iterable[Iterable[Any]]) -> tuple[MinuteCount, ...]:
    """Return the window from the row's JSON."""
    return tuple(
        (int(minute), int(attempts), int(failures)) for minute, attempts, failures in stored
    )
