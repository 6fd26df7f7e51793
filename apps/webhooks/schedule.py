"""When a failed delivery is tried again."""

import random
from datetime import timedelta

LADDER = tuple(
    timedelta(hours=hours) for hours in (5 / 3600, 1 / 60, 5 / 60, 0.5, 2, 6, 10, 12, 14, 15, 16)
)
"""The default schedule: the mean wait before each retry. Eleven retries, so twelve attempts over
about 76 hours."""

MAX_DELAY = timedelta(hours=12)
JITTER = 0.2


def retry_in(
    *, retries_used: int, max_retries: int | None, backoff_seconds: int | None
) -> timedelta | None:
    """How long until the next attempt; None when the retries are used up.

    Without a policy of its own: the ladder with full jitter, so anywhere between at once and twice
    its mean, and receivers that come back are not met by everyone at once. With one:
    `backoff_seconds` at first, doubled each time, at most 12 h, each 20 % shorter or longer by
    chance (specs: `handoff.retry_policy`).
    """
    if max_retries is None or backoff_seconds is None:
        if retries_used >= len(LADDER):
            return None
        return LADDER[retries_used] * random.uniform(0, 2)
    if retries_used >= max_retries:
        return None
    doubled = timedelta(seconds=backoff_seconds * 2**retries_used)
    return min(doubled * random.uniform(1 - JITTER, 1 + JITTER), MAX_DELAY)
