"""Shifts, compared with a local clock that is read minute by minute."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.pools.availability import HORIZON, WEEKDAYS, Hours, availability, shift_at

MINUTE = timedelta(minutes=1)
OFFICE = {day: [["09:00", "17:00"]] for day in WEEKDAYS[:5]}
ALWAYS = {day: [["00:00", "24:00"]] for day in WEEKDAYS}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


# --- examples -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "is_on", "changes_at"),
    [
        ("2026-03-02T08:59:59.999999+01:00", False, "2026-03-02T09:00+01:00"),
        ("2026-03-02T09:00+01:00", True, "2026-03-02T17:00+01:00"),
        ("2026-03-02T16:59:59+01:00", True, "2026-03-02T17:00+01:00"),
        ("2026-03-02T17:00+01:00", False, "2026-03-03T09:00+01:00"),
        ("2026-03-06T18:00+01:00", False, "2026-03-09T09:00+01:00"),  # over a weekend
        ("2026-03-27T18:00+01:00", False, "2026-03-30T09:00+02:00"),  # over the one in which
        ("2026-10-23T18:00+02:00", False, "2026-10-26T09:00+01:00"),  # the clocks change
    ],
)
def test_office_hours_in_berlin(at: str, is_on: bool, changes_at: str) -> None:
    found = shift_at(hours=OFFICE, time_zone="Europe/Berlin", at=moment(at))
    assert found == (is_on, moment(changes_at))


@pytest.mark.parametrize(
    ("hours", "at", "is_on", "changes_at"),
    [
        # 02:00 to 03:00 is skipped on 29 March 2026 and occurs twice on 25 October.
        ([["02:15", "02:45"]], "2026-03-28T12:00+01:00", False, "2026-04-05T02:15+02:00"),
        ([["01:00", "02:30"]], "2026-03-29T01:00+01:00", True, "2026-03-29T03:00+02:00"),
        ([["02:30", "04:00"]], "2026-03-29T01:59+01:00", False, "2026-03-29T03:00+02:00"),
        ([["01:00", "04:00"]], "2026-03-29T01:00+01:00", True, "2026-03-29T04:00+02:00"),
        ([["02:15", "02:45"]], "2026-10-25T02:20+02:00", True, "2026-10-25T02:45+02:00"),
        ([["02:15", "02:45"]], "2026-10-25T02:50+02:00", False, "2026-10-25T02:15+01:00"),
        ([["01:00", "03:00"]], "2026-10-25T01:00+02:00", True, "2026-10-25T03:00+01:00"),
        ([["02:30", "03:00"]], "2026-10-25T02:30+02:00", True, "2026-10-25T02:00+01:00"),
    ],
)
def test_a_sunday_on_which_the_clocks_change(
    hours: Sequence[Sequence[str]], at: str, is_on: bool, changes_at: str
) -> None:
    found = shift_at(hours={"sun": hours}, time_zone="Europe/Berlin", at=moment(at))
    assert found == (is_on, moment(changes_at))


def test_a_day_that_the_calendar_skips() -> None:
    """Skip 30 December 2011, a Friday that Samoa did not have."""
    friday = {"fri": [["09:00", "10:00"]]}
    thursday = moment("2011-12-29T12:00-10:00")
    found = shift_at(hours=friday, time_zone="Pacific/Apia", at=thursday)
    assert found == (False, moment("2012-01-06T09:00+14:00"))


def test_adjacent_spans__are_one_shift() -> None:
    night = {"mon": [["12:00", "18:00"], ["18:00", "24:00"]], "tue": [["00:00", "06:00"]]}
    found = shift_at(hours=night, time_zone="UTC", at=moment("2026-03-02T12:00+00:00"))
    assert found == (True, moment("2026-03-03T06:00+00:00"))


@pytest.mark.parametrize("hours", [{}, ALWAYS])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Apia"])
def test_without_hours__a_worker_is_always_on_shift(hours: Hours, zone: str) -> None:
    at = moment("2026-03-28T12:00+00:00")
    assert shift_at(hours=hours, time_zone=zone, at=at) == (True, None)


def test_shift_at__accepts_any_offset() -> None:
    at = datetime.fromisoformat("2026-03-02T23:30-09:00")
    assert shift_at(hours=OFFICE, time_zone="Europe/Berlin", at=at).is_on


# --- with a snooze --------------------------------------------------------------------------------

AT = moment("2026-03-02T12:00+00:00")


@pytest.mark.parametrize(
    ("hours", "snooze", "expected"),
    [
        ({}, None, (True, None, None)),
        ({}, 60, (True, 60, 60)),
        ({}, 0, (True, None, None)),
        ({}, -1, (True, None, None)),
        ({"mon": [["09:00", "12:01"]]}, 61, (True, 61, 60)),
        ({"mon": [["09:00", "12:01"]]}, 59, (True, 59, 59)),
        ({"mon": [["12:01", "13:00"]]}, None, (False, None, 60)),
    ],
)
def test_availability__is_due_at_the_next_change(
    hours: Hours, snooze: int | None, expected: tuple[bool, int | None, int | None]
) -> None:
    def later(seconds: int | None) -> datetime | None:
        return None if seconds is None else AT + timedelta(seconds=seconds)

    found = availability(hours=hours, time_zone="UTC", snoozed_until=later(snooze), at=AT)
    is_on, snoozed_until, changes_at = expected
    assert found == (is_on, later(snoozed_until), later(changes_at))


# --- against a clock on the wall ------------------------------------------------------------------

CLOCK_CHANGES = {
    "Europe/Berlin": ["2026-03-29", "2026-10-25"],
    "Europe/Dublin": ["2026-03-29", "2026-10-25"],  # its winter is the exception
    "America/New_York": ["2026-03-08", "2026-11-01"],
    "America/St_Johns": ["2026-03-08", "2026-11-01"],
    "America/Havana": ["2026-03-08", "2026-11-01"],  # at midnight
    "Australia/Lord_Howe": ["2026-04-05", "2026-10-04"],  # by half an hour
    "Africa/Casablanca": ["2026-02-15", "2026-03-22"],  # around Ramadan
    "Pacific/Apia": ["2011-12-30", "2012-04-01"],  # a day skipped
    "Asia/Kathmandu": ["2026-06-01"],  # no changes, at 5:45
    "UTC": ["2026-06-01"],
}


@st.composite
def spans(draw: st.DrawFn) -> list[list[str]]:
    """Draw spans of a day, some adjacent; most end in the night, when clocks change."""
    minutes = st.one_of(st.integers(0, 240), st.integers(0, 1440))
    ends = sorted(draw(st.lists(minutes, min_size=2, max_size=8, unique=True)))
    pairs = list(pairwise(ends))
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    return [[f"{m // 60:02}:{m % 60:02}" for m in pair] for pair in sorted(chosen)]


weeks = st.dictionaries(st.sampled_from(WEEKDAYS), spans(), min_size=1)


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, datetime]:
    zone = draw(st.sampled_from(sorted(CLOCK_CHANGES)))
    day = datetime.fromisoformat(draw(st.sampled_from(CLOCK_CHANGES[zone]))).replace(tzinfo=UTC)
    seconds = draw(st.integers(-3 * 86_400, 2 * 86_400))
    return zone, day + timedelta(
        seconds=seconds, microseconds=draw(st.sampled_from([0, 1, 999_999]))
    )


def is_worked(hours: Hours, zone: ZoneInfo, at: datetime) -> bool:
    wall = at.astimezone(zone)
    time = f"{wall.hour:02}:{wall.minute:02}"
    return any(begins <= time < ends for begins, ends in hours.get(WEEKDAYS[wall.weekday()], ()))


def next_change(hours: Hours, zone: ZoneInfo, at: datetime) -> datetime | None:
    is_on, minute = is_worked(hours, zone, at), at.replace(second=0, microsecond=0)
    while minute < at + HORIZON:
        minute += MINUTE
        if is_worked(hours, zone, minute) != is_on:
            return minute
    return None


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(hours=weeks, where=moments())
def test_shift_at__agrees_with_a_local_clock(hours: Any, where: Any) -> None:
    name, at = where
    zone = ZoneInfo(name)
    expected = is_worked(hours, zone, at), next_change(hours, zone, at)
    assert shift_at(hours=hours, time_zone=name, at=at) == expected
