"""Test an origin's limit and breaker, and an endpoint's failure streak."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.webhooks.services.pipeline.failure_streak import FailureStreak
from apps.webhooks.services.pipeline.origin_health import Observation, OriginHealth

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def observed(
    at: float, *, ok: bool = False, claimed: float | None = None, **facts: object
) -> Observation:
    """Return an attempt that ended `at` seconds after noon."""
    return Observation(
        claimed_at=NOON + timedelta(seconds=at if claimed is None else claimed),
        ended_at=NOON + timedelta(seconds=at),
        is_success=ok,
        **facts,  # type: ignore[arg-type]
    )


def test_limit__grows_by_one_for_each_round_of_successes_up_to_64() -> None:
    health = OriginHealth().after(observed(n, ok=True) for n in range(4))
    assert 4.8 < health.concurrency < 5.0
    assert OriginHealth().after(observed(n, ok=True) for n in range(5_000)).concurrency == 64


@pytest.mark.parametrize("facts", [{"is_timeout": True}, {"status_code": 429}])
def test_limit__is_halved_once_for_an_overloaded_round(facts: dict[str, object]) -> None:
    assert (
        OriginHealth(concurrency=16).after([observed(0, **facts), observed(0, **facts)]).concurrency
        == 8
    )
    assert OriginHealth(concurrency=1).after([observed(0, **facts)]).concurrency == 1


def test_limit__ignores_other_failures() -> None:
    assert OriginHealth(concurrency=16).after([observed(0, status_code=500)]).concurrency == 16


def test_breaker__opens_at_ten_requests_of_which_seven_failed() -> None:
    mixed = [observed(n, ok=n in (1, 2, 3)) for n in range(10)]
    assert OriginHealth().after(mixed[:9]).open_until is None
    opened = OriginHealth().after(mixed)
    assert opened.open_until == NOON + timedelta(seconds=9 + 30)
    assert (
        OriginHealth().after(observed(n, ok=n in (1, 2, 3, 4)) for n in range(10)).open_until
        is None
    )


def test_breaker__does_not_open_on_a_success() -> None:
    """The first 200 after an outage may be the tenth request of the window."""
    failed = OriginHealth().after(observed(n) for n in range(9))
    assert failed.open_until is None
    well = failed.after([observed(9, ok=True)])
    assert (well.open_until, well.probe_seconds) == (None, 0)
    assert well.after([observed(10, ok=True)]).open_until is None
    assert well.after([observed(10)]).open_until == NOON + timedelta(seconds=10 + 30)


def test_breaker__counts_five_minutes() -> None:
    old = OriginHealth().after(observed(n, ok=True) for n in range(10))
    assert old.after(observed(200 + n) for n in range(10)).open_until is None
    assert old.after(observed(330 + n) for n in range(10)).open_until is not None


def test_breaker__opens_at_five_timeouts_in_a_row() -> None:
    assert OriginHealth().after(observed(n, is_timeout=True) for n in range(4)).open_until is None
    assert (
        OriginHealth().after(observed(n, is_timeout=True) for n in range(5)).open_until is not None
    )
    broken_row = [observed(n, is_timeout=n != 3, ok=n == 3) for n in range(6)]
    assert OriginHealth().after(broken_row).open_until is None


def test_failed_probe__doubles_the_pause_up_to_15_minutes() -> None:
    health = OriginHealth().after(observed(n, is_timeout=True) for n in range(5))
    pauses = []
    for _ in range(7):
        assert health.open_until is not None
        moment = (health.open_until - NOON).total_seconds() + 1
        health = health.after([observed(moment)])
        pauses.append(health.probe_seconds)
    assert pauses == [60, 120, 240, 480, 900, 900, 900]


def test_successful_probe__resets_the_health() -> None:
    health = OriginHealth().after(observed(n, is_timeout=True) for n in range(5))
    assert health.after([observed(40, ok=True)]) == OriginHealth()


def test_attempts_under_way_when_it_opened__do_not_count() -> None:
    health = OriginHealth().after(observed(n, is_timeout=True) for n in range(5))
    late = health.after([observed(50, ok=True, claimed=3), observed(51, claimed=3)])
    assert (late.open_until, late.probe_seconds) == (health.open_until, 30)


def test_retry_after__holds_the_whole_origin_and_the_longest_counts() -> None:
    attempts = [
        observed(0, status_code=429, retry_after=timedelta(seconds=90)),
        observed(1, status_code=503, retry_after=timedelta(seconds=5)),
    ]
    assert OriginHealth().after(attempts).held_until == NOON + timedelta(seconds=90)


def test_streak__warns_once_each_at_1_24_and_72_hours() -> None:
    streak = FailureStreak().after([observed(0)])
    given = []
    for hour in range(100):
        at = NOON + timedelta(hours=hour)
        hours = streak.due_warning(at)
        if hours is not None:
            given.append((hour, hours))
            streak = FailureStreak(streak.failing_since, streak.failure_count, hours)
    assert given == [(1, 1), (24, 24), (72, 72)]


def test_streak__that_is_checked_late_warns_once() -> None:
    assert FailureStreak(NOON, 3, 0).due_warning(NOON + timedelta(hours=30)) == 24
    assert FailureStreak(NOON, 3, 24).due_warning(NOON + timedelta(hours=30)) is None


def test_streak__ends_with_a_success() -> None:
    assert FailureStreak(NOON, 30, 24).after([observed(1, ok=True)]) == FailureStreak()
    again = FailureStreak(NOON, 30, 24).after([observed(1, ok=True), observed(2)])
    assert again == FailureStreak(NOON + timedelta(seconds=2), 1, 0)


def test_streak__lasts_from_five_days_and_twenty_failures() -> None:
    five_days = NOON + timedelta(days=5)
    assert FailureStreak(NOON, 20, 72).is_long_enough_to_disable(five_days)
    assert not FailureStreak(NOON, 19, 72).is_long_enough_to_disable(five_days)
    assert not FailureStreak(NOON, 20, 72).is_long_enough_to_disable(
        five_days - timedelta(seconds=1)
    )
