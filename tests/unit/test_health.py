"""An origin's limit and breaker, and an endpoint's row of failures: pure rules, time passed in."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.webhooks.health import Health, Seen, Streak

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def seen(at: float, *, ok: bool = False, claimed: float | None = None, **facts: object) -> Seen:
    """An attempt that ended `at` seconds after noon."""
    return Seen(
        claimed_at=NOON + timedelta(seconds=at if claimed is None else claimed),
        ended_at=NOON + timedelta(seconds=at),
        is_success=ok,
        **facts,  # type: ignore[arg-type]
    )


def test_the_limit__grows_by_one_for_each_round_of_successes_up_to_64() -> None:
    health = Health().after(seen(n, ok=True) for n in range(4))
    assert 4.8 < health.concurrency < 5.0
    assert Health().after(seen(n, ok=True) for n in range(5_000)).concurrency == 64


@pytest.mark.parametrize("facts", [{"is_timeout": True}, {"status_code": 429}])
def test_the_limit__is_halved_once_for_a_round_that_is_too_much(facts: dict[str, object]) -> None:
    assert Health(concurrency=16).after([seen(0, **facts), seen(0, **facts)]).concurrency == 8
    assert Health(concurrency=1).after([seen(0, **facts)]).concurrency == 1


def test_the_limit__does_not_care_for_other_failures() -> None:
    assert Health(concurrency=16).after([seen(0, status_code=500)]).concurrency == 16


def test_the_breaker__opens_at_ten_requests_of_which_seven_failed() -> None:
    mixed = [seen(n, ok=n in (1, 2, 3)) for n in range(10)]
    assert Health().after(mixed[:9]).open_until is None
    opened = Health().after(mixed)
    assert opened.open_until == NOON + timedelta(seconds=9 + 30)
    assert Health().after(seen(n, ok=n in (1, 2, 3, 4)) for n in range(10)).open_until is None


def test_the_breaker__does_not_open_on_a_success() -> None:
    """A recovery's first 200 may be the tenth request of the window: the receiver is there again."""
    failed = Health().after(seen(n) for n in range(9))
    assert failed.open_until is None
    well = failed.after([seen(9, ok=True)])
    assert (well.open_until, well.probe_seconds) == (None, 0)
    assert well.after([seen(10, ok=True)]).open_until is None
    assert well.after([seen(10)]).open_until == NOON + timedelta(seconds=10 + 30)


def test_the_breaker__counts_five_minutes() -> None:
    old = Health().after(seen(n, ok=True) for n in range(10))
    assert old.after(seen(200 + n) for n in range(10)).open_until is None
    assert old.after(seen(330 + n) for n in range(10)).open_until is not None


def test_the_breaker__opens_at_five_timeouts_in_a_row() -> None:
    assert Health().after(seen(n, is_timeout=True) for n in range(4)).open_until is None
    assert Health().after(seen(n, is_timeout=True) for n in range(5)).open_until is not None
    broken_row = [seen(n, is_timeout=n != 3, ok=n == 3) for n in range(6)]
    assert Health().after(broken_row).open_until is None


def test_a_probe_that_fails__doubles_the_pause_up_to_15_minutes() -> None:
    health = Health().after(seen(n, is_timeout=True) for n in range(5))
    pauses = []
    for _ in range(7):
        assert health.open_until is not None
        moment = (health.open_until - NOON).total_seconds() + 1
        health = health.after([seen(moment)])
        pauses.append(health.probe_seconds)
    assert pauses == [60, 120, 240, 480, 900, 900, 900]


def test_a_probe_that_succeeds__closes_the_breaker_and_begins_anew() -> None:
    health = Health().after(seen(n, is_timeout=True) for n in range(5))
    assert health.after([seen(40, ok=True)]) == Health()


def test_what_was_under_way_when_it_opened__says_nothing_new() -> None:
    health = Health().after(seen(n, is_timeout=True) for n in range(5))
    late = health.after([seen(50, ok=True, claimed=3), seen(51, claimed=3)])
    assert (late.open_until, late.probe_seconds) == (health.open_until, 30)


def test_a_retry_after__holds_the_whole_origin_and_the_longest_counts() -> None:
    asked = [
        seen(0, status_code=429, asked_to_wait=timedelta(seconds=90)),
        seen(1, status_code=503, asked_to_wait=timedelta(seconds=5)),
    ]
    assert Health().after(asked).held_until == NOON + timedelta(seconds=90)


def test_a_streak__warns_once_each_at_1_24_and_72_hours() -> None:
    streak = Streak().after([seen(0)])
    given = []
    for hour in range(100):
        at = NOON + timedelta(hours=hour)
        hours = streak.warning_at(at)
        if hours is not None:
            given.append((hour, hours))
            streak = Streak(streak.failing_since, streak.failure_count, hours)
    assert given == [(1, 1), (24, 24), (72, 72)]


def test_a_streak__that_is_looked_at_late_warns_once() -> None:
    assert Streak(NOON, 3, 0).warning_at(NOON + timedelta(hours=30)) == 24
    assert Streak(NOON, 3, 24).warning_at(NOON + timedelta(hours=30)) is None


def test_a_streak__ends_with_a_success() -> None:
    assert Streak(NOON, 30, 24).after([seen(1, ok=True)]) == Streak()
    again = Streak(NOON, 30, 24).after([seen(1, ok=True), seen(2)])
    assert again == Streak(NOON + timedelta(seconds=2), 1, 0)


def test_a_streak__lasts_from_five_days_and_twenty_failures() -> None:
    five_days = NOON + timedelta(days=5)
    assert Streak(NOON, 20, 72).has_lasted(five_days)
    assert not Streak(NOON, 19, 72).has_lasted(five_days)
    assert not Streak(NOON, 20, 72).has_lasted(five_days - timedelta(seconds=1))
