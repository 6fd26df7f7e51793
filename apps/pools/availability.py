"""When a worker is on shift, and until when: rules without a database.

`shift_at` follows what a clock on the wall shows in the worker's time zone. Where that clock is
turned, hours that it skips are not worked, and those that it shows twice are worked twice:

1. Time is cut where the clock is turned. Within such a stretch, a time of the wall is a moment less
   a fixed offset.
2. In each stretch, the spans of every day that it touches become moments, cut to the stretch.
3. Spans that meet are one shift, over midnight as over a turn of the clock.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

Hours = Mapping[str, Sequence[Sequence[str]]]
"""Weekday ("mon" …) -> spans such as ["09:00", "17:00"], apart and in order; "24:00" ends a day."""

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
HORIZON = timedelta(days=22)
"""Three weeks hold every weekday's span, though the clock may skip one of them, or a whole day."""


class Shift(NamedTuple):
    """Whether it is on, and when that ends; None: never."""

    is_on: bool
    changes_at: datetime | None


class Availability(NamedTuple):
    """What a worker's hours and snooze come to at a moment, and when that is to be looked at again."""

    is_on_shift: bool
    snoozed_until: datetime | None
    changes_at: datetime | None


def availability(
    *, hours: Hours, time_zone: str, snoozed_until: datetime | None, at: datetime
) -> Availability:
    shift = shift_at(hours=hours, time_zone=time_zone, at=at)
    snooze = snoozed_until if snoozed_until is not None and snoozed_until > at else None
    times = [time for time in (shift.changes_at, snooze) if time is not None]
    return Availability(shift.is_on, snooze, min(times, default=None))


def shift_at(*, hours: Hours, time_zone: str, at: datetime) -> Shift:
    """Whether someone with these hours works `at` that moment. Without hours: always."""
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


def _spans(
    hours: Hours, zone: ZoneInfo, since: datetime, until: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """What is worked from `since` to `until`, in order."""
    for begins, ends, offset in _stretches(zone, since, until):
        midnight = (begins + offset).replace(hour=0, minute=0, second=0, microsecond=0)
        while midnight < ends + offset:
            for span in hours.get(WEEKDAYS[midnight.weekday()], ()):
                opens, closes = (midnight + _since_midnight(time) - offset for time in span)
                if opens < ends and closes > begins:
                    yield max(opens, begins), min(closes, ends)
            midnight += DAY


def _stretches(
    zone: ZoneInfo, since: datetime, until: datetime
) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """The time from `since` to `until` in parts, each with the one offset of the wall clock in it."""
    while since < until:
        offset, end = _offset(zone, since), since + DAY
        if _offset(zone, end) != offset:
            end = _turn(zone, since, end)
        yield since, min(end, until), offset
        since = end


def _turn(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """When the clock is turned: after `before`, not after `after`. Clocks are turned at a second."""
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
