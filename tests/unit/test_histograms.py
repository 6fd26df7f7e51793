"""Buckets of durations, and the periods that cover a range of time."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.operations.buckets import GROWTH, LAST, bucket_of, percentile, seconds_of
from apps.operations.models import Granularity
from apps.operations.selectors.ranges import MAX_POINTS, Range, range_of

NOW = datetime(2026, 11, 29, 14, 23, 45, 678_901, tzinfo=UTC)


@given(st.floats(min_value=0.01, max_value=391 * 86_400))
def test_a_duration__is_reported_within_5_percent(seconds: float) -> None:
    assert seconds_of(bucket_of(seconds)) == pytest.approx(seconds, rel=GROWTH**0.5 - 1 + 1e-6)


@given(st.floats(min_value=0, max_value=1e9), st.floats(min_value=0, max_value=1e9))
def test_buckets__are_in_the_order_of_durations(one: float, other: float) -> None:
    shorter, longer = sorted((one, other))
    assert 0 <= bucket_of(shorter) <= bucket_of(longer) <= LAST


def test_the_first_and_the_last_bucket__have_all_the_rest() -> None:
    assert bucket_of(0) == bucket_of(0.0099) == bucket_of(-1) == 0
    assert bucket_of(0.01) == bucket_of(0.0109) == 1
    assert bucket_of(400 * 86_400) == bucket_of(1e12) == LAST


@given(st.lists(st.floats(min_value=0.02, max_value=1e6), min_size=1, max_size=50), st.data())
def test_percentiles__are_those_of_the_durations(values: list[float], data: st.DataObject) -> None:
    share = data.draw(st.sampled_from([0.5, 0.95, 0.99]))
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    rank = next(n for n in range(1, len(values) + 1) if n >= share * len(values))
    assert percentile(counts, share) == pytest.approx(sorted(values)[rank - 1], rel=0.05)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[datetime, datetime]:
    since = NOW - timedelta(seconds=draw(st.floats(min_value=0, max_value=390 * 86_400)))
    length = draw(st.floats(min_value=0, max_value=500 * 86_400))
    return since, since + timedelta(seconds=length)


@given(ranges())
def test_parts__cover_each_moment_once(given_range: tuple[datetime, datetime]) -> None:
    since, until = given_range
    covered = range_of(since=since, until=until, at=NOW)
    assert covered.begins_at <= since
    assert covered.ends_at >= min(until, NOW)
    parts = sorted(covered.parts(at=NOW), key=lambda part: part.begins_at)
    if not parts or covered.begins_at == covered.ends_at:
        return
    assert parts[0].begins_at == covered.begins_at
    assert parts[-1].ends_at >= covered.ends_at
    for one, other in pairwise(parts):
        assert one.ends_at == other.begins_at
    # What lies beyond the end lies in the future, where nothing has happened.
    assert parts[-1].ends_at == covered.ends_at or covered.ends_at > NOW - timedelta(days=1)
    assert all(part.granularity in Granularity for part in parts)


@given(ranges())
def test_a_chart__has_points_for_the_whole_range(given_range: tuple[datetime, datetime]) -> None:
    covered = range_of(since=given_range[0], until=given_range[1], at=NOW)
    points = covered.points
    assert len(points) <= MAX_POINTS
    if points:
        assert points[0] == covered.begins_at
        assert points[-1] < covered.ends_at <= points[-1] + covered.step


@pytest.mark.parametrize(
    ("hours", "granularity"),
    [(1, "minute"), (2.9, "minute"), (3.1, "hour"), (191, "hour"), (193, "day"), (9000, "day")],
)
def test_the_granularity__is_the_finest_that_is_kept(hours: float, granularity: str) -> None:
    since = NOW - timedelta(hours=hours)
    short = range_of(since=since, until=since + timedelta(minutes=5), at=NOW)
    assert short.granularity == range_of(since=since, until=NOW, at=NOW).granularity == granularity


def test_the_last_hours__are_read_by_the_hour() -> None:
    covered = range_of(since=NOW - timedelta(hours=3), until=NOW, at=NOW)
    parts = list(covered.parts(at=NOW))
    assert [part.granularity for part in parts] == ["minute", "hour"]
    assert parts[0].ends_at - parts[0].begins_at == timedelta(minutes=37)


def test_a_range_without_length__has_no_points() -> None:
    empty = range_of(since=NOW, until=NOW - timedelta(hours=1), at=NOW)
    assert len(empty.points) <= 1
    assert Range(Granularity.HOUR, NOW, NOW, timedelta(hours=1)).points == []
