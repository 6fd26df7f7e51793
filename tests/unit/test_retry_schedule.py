"""Test when a failed delivery is tried again."""

import random
import statistics
from datetime import timedelta

import pytest

from apps.webhooks.retry_schedule import DEFAULT_DELAYS, next_delay


@pytest.fixture(autouse=True)
def same_chance() -> None:
    random.seed(7)


def whole_schedule() -> list[timedelta]:
    """Return the waits of one delivery that always fails."""
    waits = []
    while (
        wait := next_delay(retries_used=len(waits), max_retries=None, backoff_seconds=None)
    ) is not None:
        waits.append(wait)
    return waits


def test_default_schedule__is_twelve_attempts_over_about_76_hours() -> None:
    assert len(whole_schedule()) + 1 == 12
    totals = [sum(whole_schedule(), timedelta()) / timedelta(hours=1) for _ in range(2_000)]
    assert 74 < statistics.mean(totals) < 78


def test_default_schedule__has_full_jitter() -> None:
    for number, mean in enumerate(DEFAULT_DELAYS):
        waits = [
            next_delay(retries_used=number, max_retries=None, backoff_seconds=None)
            for _ in range(500)
        ]
        shares = [wait / mean for wait in waits if wait is not None]
        assert min(shares) < 0.05
        assert 1.95 < max(shares) <= 2


def test_policy__doubles_its_backoff_within_20_percent_up_to_12_hours() -> None:
    for used in range(20):
        wait = next_delay(retries_used=used, max_retries=20, backoff_seconds=30)
        assert wait is not None
        doubled = 30 * 2**used
        assert min(0.8 * doubled, 43_200) <= wait.total_seconds() <= min(1.2 * doubled, 43_200)
    assert next_delay(retries_used=20, max_retries=20, backoff_seconds=30) is None
    assert next_delay(retries_used=0, max_retries=0, backoff_seconds=30) is None
