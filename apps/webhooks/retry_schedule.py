"""Compute when a failed delivery is tried again."""

import random
from datetime import timedelta

# The default schedule: the mean wait before each retry. Eleven retries, so twelve attempts over
# about 76 hours.
DEFAULT_DELAYS = tuple(
    timedelta(hours=hours) for hours in (5 / 3600, 1 / 60, 5 / 60, 0.5, 2, 6, 10, 12, 14, 15, 16)
)
MAX_DELAY = timedelta(hours=12)
JITTER = 0.2

# Notifications of bridges, whatever their destination says: every minute for a day. Then their
# sender makes a new delivery, so that no delivery has attempts without end.
NOTIFICATION_DELAY = timedelta(seconds=60)
NOTIFICATION_RETRIES = 1_440


def max_attempts(*, max_retries: int | None) -> int:
    """Return how many attempts a retry budget allows; None is the default schedule's."""
    return 1 + (len(DEFAULT_DELAYS) if max_retries is None else max_retries)


def next_notification_delay(*, retries_used: int) -> timedelta | None:
    """Return how long to wait for the next attempt at a notification; None after a day."""
    return NOTIFICATION_DELAY if retries_used < NOTIFICATION_RETRIES else None


def next_delay(
    *, retries_used: int, max_retries: int | None, backoff_seconds: int | None
) -> timedelta | None:
    """Return how long to wait for the next attempt; None when the retries are used up.

    Without a policy (both None): the default schedule with full jitter, so between zero and twice
    the mean, which spreads the retries of a receiver that recovers. With one: `backoff_seconds`
    at first, doubled each time, at most 12 h, each up to 20 % shorter or longer at random.
    """
    if max_retries is None or backoff_seconds is None:
        if retries_used >= len(DEFAULT_DELAYS):
            return None
        return DEFAULT_DELAYS[retries_used] * random.uniform(0, 2)
    if retries_used >= max_retries:
        return None
    doubled = timedelta(seconds=backoff_seconds * 2**retries_used)
    return min(doubled * random.uniform(1 - JITTER, 1 + JITTER), MAX_DELAY)
