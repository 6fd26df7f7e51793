"""Compute when a worker is on shift, and until when, without a database.

`shift_at` follows the local time of the worker's time zone. Where that clock changes, hours that it
skips are not worked, and hours that it repeats are worked twice:

1. Time is split where the UTC offset changes. Within such a period, UTC is the local time less a
   fixed offset.
2. In each period, the spans of every day that it touches are converted to UTC, cut to the period.
3. Adjacent spans are one shift, across midnight as across a clock change.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

# Weekday ("mon" …) -> spans such as ["09:00", "17:00"], disjoint and in order; "24:00" ends a day.
Hours = Mapping[str, Sequence[Sequence[str]]]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)

# Three weeks contain every weekday's span, though a clock change may skip one, or a whole day.
HORIZON = timedelta(days=22)


class Shift(NamedTuple):
    """Hold whether the worker is on shift, and when that changes; None: never."""

    is_on: bool
    changes_at: datetime | None


class Availability(NamedTuple):
    """Hold the effect of a worker's hours and snooze, and when it changes; None: never."""

    is_on_shift: bool
    snoozed_until: datetime | None
    changes_at: datetime | None


def availability(
    *, hours: Hours, time_zone: str, snoozed_until: datetime | None, at: datetime
) -> Availability:
    """Return the availability at a moment; a snooze that is over is None."""
    shift = shift_at(hours=hours, time_zone=time_zone, at=at)
    snooze = snoozed_until if snoozed_until is not None and snoozed_until > at else None
    times = [time for time in (shift.changes_at, snooze) if time is not None]
    return Availability(shift.is_on, snooze, min(times, default=None))


def shift_at(*, hours: Hours, time_zone: str, at: datetime) -> Shift:
    """Return whether a worker with these hours is on shift. Without hours: always."""
    if not hours:
        return Shift(is_on=True, changes_at=None)
    at = at.astimezone(UTC)
    until = at + HORIZON
    end = at  # of the shift that is on
    for begins, ends in _spans(hours, ZoneInfo(time_zone), at, until):
        if begins > end:
            return Shift(end > at, end if end > at else begins)
        end = ends
    return Shift(end > at, end if at < end < until else None)


def shifts(
    *, hours: Hours, time_zone: str, since: datetime, until: datetime
) -> list[tuple[datetime, datetime]]:
    """Return the spans worked between two moments, in order; without hours, all of it."""
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    if not hours:
        return [(since, until)]
    joined: list[tuple[datetime, datetime]] = []
    for begins, ends in _spans(hours, ZoneInfo(time_zone), since, until):
        if joined and joined[-1][1] == begins:
            joined[-1] = (joined[-1][0], ends)
        else:
            joined.append((begins, ends))
    return joined


def _spans(
    hours: Hours, zone: ZoneInfo, since: datetime, until: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Yield the spans worked from `since` to `until`, in order."""
    for begins, ends, offset in _periods(zone, since, until):
        midnight = (begins + offset).replace(hour=0, minute=0, second=0, microsecond=0)
        while midnight < ends + offset:
            for span in hours.get(WEEKDAYS[midnight.weekday()], ()):
                opens, closes = (midnight + _since_midnight(time) - offset for time in span)
                if opens < ends and closes > begins:
                    yield max(opens, begins), min(closes, ends)
            midnight += DAY


def _periods(
    zone: ZoneInfo, since: datetime, until: datetime
) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """Yield the time from `since` to `until` in periods of one UTC offset each, with the offset."""
    while since < until:
        offset, end = _offset(zone, since), since + DAY
        if _offset(zone, end) != offset:
            end = _clock_change(zone, since, end)
        yield since, min(end, until), offset
        since = end


def _clock_change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return when the offset changes, after `before` and by `after`, to the second."""
    offset = _offset(zone, before)
    while after - before > SECOND:
        middle = before + (after - before) / 2
        if _offset(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _since_midnight(time: str) -> timedelta:
    hour, minute = time.split(":")
    return timedelta(hours=int(hour), minutes=int(minute))
