"""The feed is complete and in order under any transactions; and what its readers get."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, connections, transaction

from apps.base import clock
from apps.events import selectors
from apps.events.models import Event, EventConsumer
from apps.events.selectors import BEGINNING, FEED_TYPES, FeedSlice, Position, feed_slice, types_for
from apps.tasks import services as tasks
from tests.factories import House

PATIENCE_SECONDS = 10.0


def read(house: House, after: Position = BEGINNING, **changes: Any) -> FeedSlice:
    query = {"until": selectors.horizon(), "types": FEED_TYPES, "limit": 100, **changes}
    return feed_slice(organisation_id=house.organisation.id, after=after, **query)


def sequences(found: FeedSlice, task_id: UUID) -> list[int]:
    return [event.sequence for event in found.events if event.task_id == task_id]


def current_xid() -> int:
    """The id of the transaction that is open, which it gets here at the latest."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        return int(cursor.fetchone()[0])


@contextmanager
def transaction_with_an_early_id(call: Callable[[], Any]) -> Iterator["Future[int]"]:
    """On another connection a transaction gets its id now, and makes its call and commits when the
    block ends. Yield its id.
    """
    is_open, may_go_on = threading.Event(), threading.Event()

    def run() -> int:
        try:
            with transaction.atomic():
                xid = current_xid()
                is_open.set()
                assert may_go_on.wait(PATIENCE_SECONDS)
                call()
            return xid
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(run)
        assert is_open.wait(PATIENCE_SECONDS)
        try:
            yield future
        finally:
            may_go_on.set()
        future.result(PATIENCE_SECONDS)


def cancel(house: House, task_id: UUID) -> None:
    tasks.cancel_task(actor=house.alice.principal, task_id=task_id, reason="", at=clock.now())


# --- order and completeness ----------------------------------------------------------------


def test_feed__a_task_stays_in_order_when_the_later_event_has_the_earlier_transaction(
    house: House,
) -> None:
    task = house.task()
    with transaction_with_an_early_id(lambda: cancel(house, task.id)) as early:
        assert tasks.queue_created() == 1
    queued, cancelled = Event.objects.filter(task_id=task.id, sequence__gte=2).order_by("sequence")
    assert early.result() < queued.xid, "the inversion was not forced"
    assert cancelled.xid == queued.xid
    assert sequences(read(house), task.id) == [1, 2, 3]


def test_feed__the_order_is_kept_over_pages(house: House) -> None:
    task = house.task()
    with transaction_with_an_early_id(lambda: cancel(house, task.id)):
        assert tasks.queue_created() == 1
    after, seen = BEGINNING, []
    for _ in range(3):
        page = read(house, after, limit=1)
        seen += sequences(page, task.id)
        after = page.end
    assert seen == [1, 2, 3]


def test_feed__shows_nothing_beyond_the_oldest_open_transaction(house: House) -> None:
    with transaction_with_an_early_id(lambda: house.task(title="Late")):
        early = house.task(title="Early")
        page = read(house)
        assert (page.events, page.has_more) == ([], False)
    assert [event.sequence for event in read(house, page.end).events] == [1, 1]
    assert sequences(read(house, page.end), early.id) == [1]


def test_feed__an_event_with_a_raised_place_is_not_behind_any_reader(house: House) -> None:
    """The position is raised to a later one: a reader meanwhile still finds it ahead."""
    task = house.task()
    with transaction_with_an_early_id(lambda: cancel(house, task.id)):
        with transaction_with_an_early_id(lambda: None):
            assert tasks.queue_created() == 1
            first = read(house)
            assert sequences(first, task.id) == [1]
        # The queued event is settled but for the one transaction that is older than it.
        second = read(house, first.end)
        assert sequences(second, task.id) == []
    assert sequences(read(house, second.end), task.id) == [2, 3]


def test_feed__a_transaction_that_failed_holds_nobody_up(house: House) -> None:
    with pytest.raises(ZeroDivisionError), transaction_with_an_early_id(lambda: 1 // 0):
        house.task()
    assert len(read(house).events) == 1


def test_place__is_the_databases_to_give(house: House) -> None:
    """An insert that names a place of its own does not get it."""
    task = house.queued()
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute(
            "INSERT INTO events_event (organisation_id, task_id, sequence, type, status,"
            " previous_status, actor_kind, actor_id, data, occurred_at, prev_hash, hash, xid)"
            " SELECT organisation_id, task_id, 3, type, status, previous_status, actor_kind,"
            " actor_id, data, occurred_at, prev_hash, hash, '7'"
            " FROM events_event WHERE task_id = %s AND sequence = 2 RETURNING xid::text::bigint",
            [task.id],
        )
        assert cursor.fetchone()[0] == current_xid()
        transaction.set_rollback(True)


# --- what is read --------------------------------------------------------------------------


def test_stretch__a_filtered_out_part_moves_the_place(house: House) -> None:
    for _ in range(3):
        house.task()
    page = read(house, types=["task.completed"])
    assert (page.events, page.has_more) == ([], False)
    assert page.end > Position.of(Event.objects.latest("id"))
    assert not read(house, page.end).events


def test_stretch__looks_at_a_bounded_number(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.events.selectors import feed

    monkeypatch.setattr(feed, "MATCHING", feed.MATCHING.replace(str(feed.MAX_SCANNED), "4"))
    edge = feed.EDGE.replace(str(feed.MAX_SCANNED), "4").replace(str(feed.MAX_SCANNED - 1), "3")
    monkeypatch.setattr(feed, "EDGE", edge)
    made = [house.task() for _ in range(5)]
    cancel(house, made[4].id)
    first = read(house, types=["task.cancelled"])
    assert (first.events, first.has_more) == ([], True)
    second = read(house, first.end, types=["task.cancelled"])
    assert ([event.task_id for event in second.events], second.has_more) == ([made[4].id], False)


def test_stretch__limit_and_has_more(house: House) -> None:
    for _ in range(3):
        house.task()
    assert [read(house, limit=limit).has_more for limit in (1, 2, 3, 4)] == [
        True,
        True,
        False,
        False,
    ]
    first = read(house, limit=2)
    assert len(read(house, first.end, limit=2).events) == 1


def test_stretch__an_unpublished_draft_is_in_no_feed() -> None:
    assert "task.drafted" not in types_for(None)
    assert len(types_for(None)) == 12


def test_stretch__never_goes_back(house: House) -> None:
    house.task()
    beyond = Position(selectors.horizon() + 1000, 7)
    page = read(house, beyond)
    assert (page.events, page.end, page.has_more) == ([], beyond, False)


def test_stirred__names_who_has_news(house: House) -> None:
    since = selectors.horizon()
    stranger = house.strangers_pool.organisation_id
    positions = {house.organisation.id: since, stranger: since}
    assert selectors.feed_changes(since=positions).organisation_ids == frozenset()
    house.task()
    found = selectors.feed_changes(since=positions)
    assert found.organisation_ids == {house.organisation.id}
    assert found.horizon > since
    assert (
        selectors.feed_changes(since={house.organisation.id: found.horizon}).organisation_ids
        == set()
    )


# --- what the tables refuse ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("constraint", "changes"),
    [
        ("consumer_name_is_slug", {"name": "Ledger sync"}),
        ("consumer_name_is_slug", {"name": ""}),
        ("consumer_types_is_null_or_some", {"types": []}),
        ("consumer_place_is_positive", {"xid": -1}),
        ("consumer_name_is_unique", {"name": "taken"}),
    ],
)
def test_consumer__rows_that_cannot_be(
    house: House, constraint: str, changes: dict[str, Any]
) -> None:
    now = clock.now()
    row = {"xid": 0, "event_id": 0, "created_at": now, "moved_at": now, "name": "ledger"}
    EventConsumer.objects.create(organisation=house.organisation, **{**row, "name": "taken"})
    with pytest.raises(IntegrityError, match=constraint):
        EventConsumer.objects.create(organisation=house.organisation, **{**row, **changes})
