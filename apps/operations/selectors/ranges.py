"""Cover a range of time by the periods of histograms."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import NamedTuple

from apps.operations.buckets import KEPT, LENGTHS
from apps.operations.models import Granularity

COARSER = {
    Granularity.MINUTE: Granularity.HOUR,
    Granularity.HOUR: Granularity.DAY,
    Granularity.DAY: Granularity.DAY,
}
MAX_POINTS = 120
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Part(NamedTuple):
    """Describe a run of periods: those that begin within it are read."""

    granularity: Granularity
    begins_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Range:
    """Hold a range of time, rounded outward to whole periods of its granularity."""

    granularity: Granularity
    begins_at: datetime
    ends_at: datetime
    # Of the points of a chart: one period, or several so that there are `MAX_POINTS` at most.
    step: timedelta

    @property
    def points(self) -> list[datetime]:
        """Return the beginnings of its points."""
        count = ceil((self.ends_at - self.begins_at) / self.step)
        return [self.begins_at + number * self.step for number in range(count)]

    def parts(self, *, at: datetime) -> Iterator[Part]:
        """Yield disjoint parts that cover it, of coarser periods where these lie within it.

        `at` is the present time: a period that has not ended has nothing after it.
        """
        fine, coarse = self.granularity, COARSER[self.granularity]
        begins_at = _ceiling(self.begins_at, LENGTHS[coarse])
        is_until_now = self.ends_at >= _floor(at, LENGTHS[fine])
        ends_at = (_ceiling if is_until_now else _floor)(self.ends_at, LENGTHS[coarse])
        if begins_at >= ends_at:
            yield Part(fine, self.begins_at, self.ends_at)
            return
        if self.begins_at < begins_at:
            yield Part(fine, self.begins_at, begins_at)
        yield Part(coarse, begins_at, ends_at)
        if ends_at < self.ends_at:
            yield Part(fine, ends_at, self.ends_at)


def range_of(*, since: datetime, until: datetime, at: datetime) -> Range:
    """Return the range in the finest periods that are still kept for all of it.

    Minutes for up to 3 hours, hours for up to 8 days, else days.
    """
    until = max(since, min(until, at))
    granularity = next(
        (fine for fine, kept in KEPT.items() if since >= at - kept), Granularity.DAY
    )  # fmt: skip
    length = LENGTHS[granularity]
    begins_at, ends_at = _floor(since, length), _ceiling(until, length)
    count = ceil((ends_at - begins_at) / length)
    return Range(granularity, begins_at, ends_at, length * max(1, ceil(count / MAX_POINTS)))


def _floor(moment: datetime, length: timedelta) -> datetime:
    return moment - (moment - EPOCH) % length


def _ceiling(moment: datetime, length: timedelta) -> datetime:
    return _floor(moment + length - timedelta(microseconds=1), length)
