"""Define the buckets of histograms, whose bounds grow by a tenth, and their periods.

Bucket 0 is below 10 ms. Bucket `n` is from 10 ms x 1.1^(n - 1) up to 10 ms x 1.1^n. The last, 231,
is for all from 391 days on. A duration is reported as the geometric mean of its bucket's bounds:
it is at most 5 % off.
"""

from collections.abc import Mapping
from datetime import timedelta
from math import log, sqrt
from uuid import UUID

from apps.operations.models import Granularity

FIRST_SECONDS = 0.01
GROWTH = 1.1
LAST = 231

ALL_TASKS = (UUID(int=0),)
"""Stands for the set of pools in rows that are of all tasks of an organisation."""

LENGTHS = {
    Granularity.MINUTE: timedelta(minutes=1),
    Granularity.HOUR: timedelta(hours=1),
    Granularity.DAY: timedelta(days=1),
}
KEPT = {
    Granularity.MINUTE: timedelta(hours=3),
    Granularity.HOUR: timedelta(days=8),
    Granularity.DAY: timedelta(days=400),
}
"""For how long histograms of each granularity are kept, and a period longer."""


def bucket_of(seconds: float) -> int:
    """Return the bucket of a duration."""
    if seconds < FIRST_SECONDS:
        return 0
    return min(LAST, 1 + int(log(seconds / FIRST_SECONDS) / log(GROWTH)))


def seconds_of(bucket: int) -> float:
    """Return the duration that stands for a bucket; 5 ms for the first."""
    if bucket == 0:
        return FIRST_SECONDS / 2
    return FIRST_SECONDS * sqrt(GROWTH ** (bucket - 1) * GROWTH**bucket)


def percentile(counts: Mapping[int, int], share: float) -> float:
    """Return the duration below which `share` (0 to 1) of the counted ones are.

    `counts` has how many there are in each bucket, at least one in all.
    """
    rank = share * sum(counts.values())
    passed = 0
    for bucket in sorted(counts):
        passed += counts[bucket]
        if passed >= rank and counts[bucket] > 0:
            return seconds_of(bucket)
    raise AssertionError("a percentile of nothing")
