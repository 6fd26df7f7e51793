"""Test a failover: earlier cursors, consumers and streams return to a common position."""

import time
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.http import QueryDict

from apps.api.streams import pages
from apps.api.streams.cursors import cursor_position, encode_cursor
from apps.api.streams.params import feed_query
from apps.base import clock
from apps.events.models import EventConsumer, Generation
from apps.events.selectors import Position, clear_generation_cache, generations
from apps.events.services import raise_generation
from tests.factories import House


@pytest.fixture(autouse=True)
def known_anew(database: None) -> Any:
    clear_generation_cache()
    yield
    clear_generation_cache()


def feed(house: House, cursor: str) -> list[str]:
    page = house.alice.get(f"/v1/events?after={cursor}").json()
    return [f"{event['task_id']} {event['sequence']}" for event in page["data"]]


def raised(since: datetime) -> Generation:
    return raise_generation(since=since, at=clock.now())


def test_an_earlier_cursor__continues_at_the_time_of_the_failover(house: House) -> None:
    first = house.task()
    lost_since = clock.now()
    second = house.task()
    cursor = house.alice.get("/v1/events").json()["next_cursor"]
    assert feed(house, cursor) == []
    raised(lost_since)
    assert feed(house, cursor) == [f"{second.id} 1"]
    # An earlier position does not move.
    assert feed(house, "beginning") == [f"{first.id} 1", f"{second.id} 1"]


def test_a_later_cursor__keeps_its_position(house: House) -> None:
    lost_since = clock.now()
    house.task()
    raised(lost_since)
    cursor = house.alice.get("/v1/events").json()["next_cursor"]
    assert len(cursor) == 48
    assert feed(house, cursor) == []
    raised(clock.now())
    assert feed(house, cursor) == []


def test_every_generation_since__counts(house: House) -> None:
    position = Position(1_000, 5)
    for begins in (700, 900):
        made = raised(clock.now())
        Generation.objects.filter(number=made.number).update(begins_at_xid=begins)
    clear_generation_cache()
    cursors = [
        encode_cursor(position, house.organisation.id, generation=number) for number in range(3)
    ]
    assert [cursor_position(cursor, house.organisation.id) for cursor in cursors] == [
        Position(700, 0),
        Position(900, 0),
        position,
    ]
    assert cursor_position(
        encode_cursor(Position(600, 1), house.organisation.id), house.organisation.id
    ) == (Position(600, 1))


def test_consumers__go_back_as_well(house: House) -> None:
    house.task()
    lost_since = clock.now()
    task = house.task()
    house.alice.call("PUT", "/v1/event-consumers/ahead", {"start": "latest"})
    house.alice.call("PUT", "/v1/event-consumers/behind", {"start": "beginning"})
    raised(lost_since)

    def read(name: str) -> list[str]:
        page = house.alice.get(f"/v1/event-consumers/{name}/events").json()
        return [event["task_id"] for event in page["data"]]

    assert read("ahead") == [str(task.id)]
    assert len(read("behind")) == 2
    assert EventConsumer.objects.count() == 2


def unheard_of() -> None:
    """Make this process one that has not read the table since the last generation."""
    generations._generations._begins = {}
    generations._generations._read_at = time.monotonic()


def test_an_acknowledgement__of_an_earlier_generation_does_not_undo_it(house: House) -> None:
    house.task()
    house.alice.call("PUT", "/v1/event-consumers/ledger", {})
    lost_since = clock.now()
    house.task()
    cursor = house.alice.get("/v1/events").json()["next_cursor"]
    made = raised(lost_since)
    unheard_of()
    assert house.alice.post("/v1/event-consumers/ledger/ack", {"cursor": cursor}).status_code == 200
    consumer = EventConsumer.objects.get()
    assert consumer.xid <= made.begins_at_xid


def test_a_consumer__that_starts_at_an_earlier_cursor_starts_at_the_failover(
    house: House,
) -> None:
    lost_since = clock.now()
    house.task()
    cursor = house.alice.get("/v1/events").json()["next_cursor"]
    made = raised(lost_since)
    unheard_of()
    house.alice.call("PUT", "/v1/event-consumers/ledger", {"start": cursor})
    assert EventConsumer.objects.get().xid == made.begins_at_xid


def test_a_reader__that_waits_during_the_failover_goes_back_as_well(house: House) -> None:
    lost_since = clock.now()
    task = house.task()
    actor = house.alice.principal
    query = feed_query(actor, QueryDict())
    waiting = pages.next_query(query, pages.read(query))
    assert not pages.read(waiting).items
    raised(lost_since)
    assert [item.task_id for item in pages.read(waiting).items] == [task.id]


def test_raise_generation__goes_back_to_since_or_15_minutes(house: House) -> None:
    task = house.task()
    cursor = house.alice.get("/v1/events").json()["next_cursor"]
    out = StringIO()
    call_command("raise_generation", stdout=out)
    assert out.getvalue().startswith("generation 1: the feed is read again from ")
    assert feed(house, cursor) == [f"{task.id} 1"]
    call_command("raise_generation", "--since=2026-02-04T19:00:00Z", stdout=out)
    assert Generation.objects.count() == 2


@pytest.mark.parametrize("since", ["yesterday", "2026-02-04T19:00:00"])
def test_raise_generation__refuses_a_time_without_zone(database: None, since: str) -> None:
    with pytest.raises(CommandError, match="is not a time with a time zone"):
        call_command("raise_generation", f"--since={since}")
    assert Generation.objects.count() == 0


def test_raise_generation__refuses_a_future_time(database: None) -> None:
    tomorrow = (clock.now() + timedelta(days=1)).isoformat()
    with pytest.raises(CommandError, match="in the future"):
        call_command("raise_generation", f"--since={tomorrow}")
