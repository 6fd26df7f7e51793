"""Count to a bound, and page through no more."""

import pytest
from django.core.paginator import EmptyPage
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.base.paginator import BoundedCount, BoundedPaginator, bounded_count
from apps.tasks.models import Task
from tests.factories import House


class Small(BoundedPaginator):
    bound = 5


def test_bounded_count__is_one_statement_that_stops(house: House) -> None:
    for _ in range(4):
        house.task()
    rows = Task.objects.order_by("-created_at")
    with CaptureQueriesContext(connection) as sent:
        assert bounded_count(rows, bound=3) == BoundedCount(3, is_exact=False)
    (query,) = sent.captured_queries
    assert "LIMIT 4" in query["sql"]
    assert "ORDER BY" not in query["sql"]
    assert bounded_count(rows, bound=4) == BoundedCount(4, is_exact=True)
    assert bounded_count(rows.none()) == BoundedCount(0, is_exact=True)


def test_count__is_written_with_a_plus_beyond_the_bound() -> None:
    assert str(BoundedCount(10_000, is_exact=False)) == "10,000+"
    assert str(BoundedCount(1_234, is_exact=True)) == "1,234"


@pytest.mark.parametrize("size", [6, 100])
def test_paginator__refuses_pages_beyond_the_bound(size: int) -> None:
    pages = Small(range(size), 2)
    assert (pages.count, pages.num_pages, str(pages.counted)) == (5, 3, "5+")
    assert list(pages.page(3)) == [4]
    with pytest.raises(EmptyPage, match="Only the first 5 results have pages"):
        pages.page(4)
    with pytest.raises(EmptyPage, match="less than 1"):
        pages.page(0)


def test_paginator__of_a_short_list_is_djangos() -> None:
    pages = Small(range(4), 2)
    assert (pages.count, pages.num_pages, str(pages.counted)) == (4, 2, "4")
    with pytest.raises(EmptyPage, match="contains no results"):
        pages.page(3)


def test_paginator__reads_rows_of_a_page_only(house: House) -> None:
    made = [house.task().id for _ in range(7)]
    pages = Small(Task.objects.order_by("created_at"), 2)
    assert pages.count == 5
    assert [task.id for task in pages.page(2)] == made[2:4]
