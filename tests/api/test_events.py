"""Test `/v1/events` and `/v1/event-consumers` in the web process."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pytest
from django.db import connections
from django.db.models import Max

from apps.accounts.services import issue_key
from apps.api.streams import long_poll
from apps.api.streams.cursors import cursor_position, encode_cursor
from apps.api.streams.payload_extensions import PAYLOAD_EXTENSIONS
from apps.events import selectors
from apps.events.feed_watcher import watcher
from apps.events.models import Event, EventConsumer
from apps.events.selectors import Position
from apps.pools.services import provision_pool
from apps.tasks.services import queue_created
from biolayer import chain
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.factories import Caller, House

CONSUMER = "/v1/event-consumers/ledger"


@pytest.fixture(autouse=True)
def watcher_at_rest() -> Iterator[None]:
    """Close its connection, which would block the removal of the test database."""
    yield
    watcher.close()


def settle() -> None:
    """Wait until all commits are visible in the feed; a maintenance transaction may delay that."""
    newest = Event.objects.aggregate(newest=Max("id"))["newest"]
    xid = Event.objects.get(id=newest).xid if newest else 0
    ends = time.monotonic() + 10
    while selectors.horizon() <= xid:
        assert time.monotonic() < ends
        time.sleep(0.01)


def feed(caller: Caller, query: str = "", path: str = "/v1/events") -> dict[str, Any]:
    settle()
    answer = caller.get(f"{path}?{query}")
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    assert set(body) == {"data", "next_cursor", "has_more"}
    return body


def types(body: dict[str, Any]) -> list[str]:
    return [item["type"].removeprefix("task.") for item in body["data"]]


def at_once(call: Callable[[], Any]) -> Any:
    started = time.monotonic()
    answer = call()
    assert time.monotonic() - started < 2
    return answer


# --- pages ---------------------------------------------------------------------------------


def test_events__from_the_beginning(house: House) -> None:
    task = house.completed()
    body = feed(house.alice)
    log = house.alice.get(f"/v1/tasks/{task.id}/events").json()["data"]
    assert [{k: v for k, v in item.items() if k != "cursor"} for item in body["data"]] == log
    assert chain.first_broken(body["data"]) is None
    assert body["has_more"] is False


def test_events__page_by_page_gives_each_once(house: House) -> None:
    house.completed()
    whole = feed(house.alice)["data"]
    query, seen = "limit=2", []
    while True:
        body = feed(house.alice, query)
        seen += body["data"]
        if not body["has_more"]:
            break
        assert len(body["data"]) == 2
        assert body["next_cursor"] == body["data"][-1]["cursor"]
        query = f"limit=2&after={body['next_cursor']}"
    assert seen == whole


def test_events__each_items_cursor_leads_behind_it(house: House) -> None:
    house.completed()
    items = feed(house.alice)["data"]
    assert feed(house.alice, f"after={items[3]['cursor']}")["data"] == items[4:]


def test_events__from_now_on(house: House) -> None:
    house.task()
    settle()
    now = feed(house.alice, "after=latest")
    assert now["data"] == []
    task = house.task(title="New")
    body = feed(house.alice, f"after={now['next_cursor']}")
    assert [item["task_id"] for item in body["data"]] == [str(task.id)]


def test_events__by_type(house: House) -> None:
    house.completed()
    assert types(feed(house.alice, "types=task.completed,task.created")) == ["created", "completed"]
    assert types(feed(house.alice, "types=task.queued&types=task.verified")) == [
        "queued",
        "verified",
    ]
    for everything in ("task.*", "*", "task.created,task.*"):
        assert len(feed(house.alice, f"types={everything}")["data"]) == 9


def test_events__other_types_are_skipped(house: House) -> None:
    house.task()
    body = feed(house.alice, "types=task.failed")
    assert (body["data"], body["has_more"]) == ([], False)
    assert feed(house.alice, f"after={body['next_cursor']}")["data"] == []


def test_events__a_draft_is_reported_when_it_is_published(house: House) -> None:
    from biolayer.lifecycle import EventType

    assert EventType.DRAFTED.value not in selectors.FEED_TYPES
    answer = house.alice.get("/v1/events?types=task.drafted")
    assert faults(answer) == {"/types": "unknown_event_type"}


def test_events__of_another_organisation_are_not_returned(house: House) -> None:
    house.task()
    assert feed(house.charlie)["data"] == []


def test_events__of_a_pool_that_was_not_granted_are_not_returned(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    mine = house.task(requirements={"worker_pool_id": str(house.pool.id)})
    house.task(requirements={"worker_pool_id": str(other.id)})
    key = issue_key(organisation_id=house.organisation.id, name="Desk", pool_ids=[house.pool.id])
    body = feed(Caller(key))
    assert [item["task_id"] for item in body["data"]] == [str(mine.id)]
    # Events that it may not see are skipped as well.
    assert feed(Caller(key), f"after={body['next_cursor']}")["data"] == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("limit=0", {"/limit": "out_of_range"}),
        ("limit=1001", {"/limit": "out_of_range"}),
        ("limit=ten", {"/limit": "out_of_range"}),
        ("wait=56", {"/wait": "out_of_range"}),
        ("wait=-1", {"/wait": "out_of_range"}),
        ("wait=1.5", {"/wait": "out_of_range"}),
        ("types=", {"/types": "unknown_event_type"}),
        ("types=task.exploded,task.gone", {"/types": "unknown_event_type"}),
        ("types=task.comp*", {"/types": "unknown_event_type"}),
        ("types=endpoint.failing", {"/types": "unknown_event_type"}),
        ("after=", {"/after": "invalid_cursor"}),
        ("after=12-34", {"/after": "invalid_cursor"}),
        ("after=%00", {"/after": "invalid_cursor"}),
        ("after=" + "A" * 44, {"/after": "invalid_cursor"}),
        ("before=x", {"/before": "unknown_parameter"}),
        ("limit=0&wait=x&x=1", {"/limit": "out_of_range", "/wait": "out_of_range",
                "/x": "unknown_parameter"}),
    ],
)  # fmt: skip
def test_events__bad_parameters(house: House, query: str, found: dict[str, str]) -> None:
    assert faults(house.alice.get(f"/v1/events?{query}")) == found


def test_cursor__is_worth_nothing_elsewhere(house: House) -> None:
    house.task()
    cursor = feed(house.alice)["next_cursor"]
    assert faults(house.charlie.get(f"/v1/events?after={cursor}")) == {"/after": "invalid_cursor"}
    listed = house.alice.get(f"/v1/tasks?cursor={cursor}")
    assert faults(listed) == {"/cursor": "invalid_cursor"}


def test_cursor__no_character_can_be_changed(house: House) -> None:
    position = Position(2**62, 2**63 - 1)
    cursor = encode_cursor(position, house.organisation.id)
    assert cursor_position(cursor, house.organisation.id) == position
    for index in range(len(cursor)):
        changed = "A" if cursor[index] != "A" else "B"
        forged = cursor[:index] + changed + cursor[index + 1 :]
        assert cursor_position(forged, house.organisation.id) is None
    for forged in (cursor[:-1], cursor + "=", cursor + "\n", " " + cursor, ""):
        assert cursor_position(forged, house.organisation.id) is None


# --- the long poll -------------------------------------------------------------------------


def later(call: Callable[[], Any], seconds: float = 0.5) -> threading.Thread:
    """Make a call on another connection after a moment."""

    def run() -> None:
        time.sleep(seconds)
        try:
            call()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_wait__answers_at_once_when_something_is_there(house: House) -> None:
    house.task()
    settle()
    assert at_once(lambda: types(feed(house.alice, "wait=30"))) == ["created"]


def test_wait__returns_when_an_event_happens(house: House) -> None:
    cursor = feed(house.alice, "after=latest")["next_cursor"]
    writer = later(house.task)
    started = time.monotonic()
    body = feed(house.alice, f"after={cursor}&wait=30")
    assert 0.4 < time.monotonic() - started < 3
    assert types(body) == ["created"]
    writer.join()


def test_wait__other_types_do_not_wake_it(house: House) -> None:
    cursor = feed(house.alice, "after=latest")["next_cursor"]
    writers = [later(house.task, 0.1), later(queue_created, 0.6)]
    body = feed(house.alice, f"after={cursor}&types=task.queued&wait=30")
    assert types(body) == ["queued"]
    for writer in writers:
        writer.join()


def test_wait__ends_with_an_empty_page_and_a_cursor(house: House) -> None:
    house.task()
    started = time.monotonic()
    body = feed(house.alice, "types=task.failed&wait=1")
    assert 0.9 < time.monotonic() - started < 3
    assert (body["data"], body["has_more"]) == ([], False)
    assert feed(house.alice, f"after={body['next_cursor']}")["data"] == []


def test_wait__in_the_web_process_two_wait_and_the_third_is_answered(house: House) -> None:
    cursor = feed(house.alice, "after=latest")["next_cursor"]

    def poll() -> list[str]:
        try:
            return types(feed(Caller(house.alice.key), f"after={cursor}&wait=30"))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(long_poll.MAX_WAITING_THREADS) as threads:
        polls = [threads.submit(poll) for _ in range(long_poll.MAX_WAITING_THREADS)]
        ends = time.monotonic() + 10
        while long_poll._waiting_threads._value:
            assert time.monotonic() < ends
            time.sleep(0.01)
        body = at_once(lambda: feed(house.alice, f"after={cursor}&wait=30"))
        assert body["data"] == []
        house.task()
        assert [poll.result(10) for poll in polls] == [["created"]] * long_poll.MAX_WAITING_THREADS
    # The slots for long polls are free again.
    assert long_poll._waiting_threads._value == long_poll.MAX_WAITING_THREADS


# --- consumers -----------------------------------------------------------------------------


def put(caller: Caller, path: str = CONSUMER, **settings: Any) -> Any:
    return caller.call("PUT", path, settings)


def ack(caller: Caller, cursor: str, path: str = CONSUMER, **headers: str) -> Any:
    return caller.post(f"{path}/ack", {"cursor": cursor}, **headers)


def test_consumer__is_created_and_returned(house: House) -> None:
    house.completed()
    settle()
    answer = put(house.alice, types=["task.completed", "task.verified"])
    assert (answer.status_code, answer["Location"]) == (201, CONSUMER)
    shown = answer.json()
    assert set(shown) == {
        "name", "types", "cursor", "lag", "lag_is_exact", "created_at", "moved_at",
    }  # fmt: skip
    assert (shown["name"], shown["types"]) == ("ledger", ["task.completed", "task.verified"])
    assert (shown["lag"], shown["lag_is_exact"]) == (2, True)
    assert house.alice.get(CONSUMER).json() == shown
    assert house.alice.get("/v1/event-consumers").json() == {"data": [shown], "next_cursor": None}


def test_consumer__a_second_put_changes_its_types_and_not_its_position(house: House) -> None:
    house.task()
    settle()
    first = put(house.alice, start="latest").json()
    assert (first["types"], first["lag"]) == (None, 0)
    answer = put(house.alice, types=["task.*"], start="beginning")
    assert answer.status_code == 200
    assert answer.json() == {**first, "types": ["task.*"]}


def test_consumer__starts_at_a_cursor(house: House) -> None:
    house.completed()
    cursor = feed(house.alice)["data"][6]["cursor"]
    assert put(house.alice, start=cursor).json()["lag"] == 2
    assert types(feed(house.alice, path=f"{CONSUMER}/events")) == ["verified", "completed"]


def test_consumer__reading_does_not_move_it_and_ack_does(house: House) -> None:
    house.completed()
    put(house.alice)
    path = f"{CONSUMER}/events"
    first = feed(house.alice, "limit=4", path)
    assert feed(house.alice, "limit=4", path) == first
    answer = ack(house.alice, first["next_cursor"])
    assert (answer.status_code, answer.json()["lag"]) == (200, 5)
    assert answer.json()["cursor"] == first["next_cursor"]
    assert types(feed(house.alice, path=path)) == [
        "accepted", "started", "submitted", "verified", "completed",
    ]  # fmt: skip


def test_consumer__moves_forward_only(house: House) -> None:
    house.completed()
    put(house.alice)
    items = feed(house.alice)["data"]
    there = ack(house.alice, items[5]["cursor"]).json()
    with expect_unchanged():
        for index in (5, 2, 0):
            answer = ack(house.alice, items[index]["cursor"])
            assert (answer.status_code, answer.json()) == (200, there)


def test_consumer__ack_once_for_a_key(house: House) -> None:
    house.completed()
    put(house.alice)
    items = feed(house.alice)["data"]
    first = ack(house.alice, items[1]["cursor"], **{"Idempotency-Key": "a"})
    ack(house.alice, items[4]["cursor"])
    again = ack(house.alice, items[1]["cursor"], **{"Idempotency-Key": "a"})
    assert (again.json(), again["Idempotency-Replayed"]) == (first.json(), "true")
    other = ack(house.alice, items[2]["cursor"], **{"Idempotency-Key": "a"})
    expect_problem(other, 422, "idempotency_key_reused")


def test_consumer__waits_as_the_feed_does(house: House) -> None:
    put(house.alice, types=["task.created"], start="latest")
    writer = later(house.task)
    assert types(feed(house.alice, "wait=30", f"{CONSUMER}/events")) == ["created"]
    writer.join()


def test_consumer__is_deleted(house: House) -> None:
    put(house.alice)
    assert house.alice.call("DELETE", CONSUMER).status_code == 204
    assert not EventConsumer.objects.exists()
    for answer in (
        house.alice.get(CONSUMER),
        house.alice.get(f"{CONSUMER}/events"),
        house.alice.call("DELETE", CONSUMER),
        ack(house.alice, "whatever"),
        ack(house.alice, encode_cursor(Position(1, 1), house.organisation.id)),
        house.alice.get("/v1/event-consumers/%00"),
    ):
        expect_problem(answer, 404, "not_found")


def test_consumers__of_two_organisations_share_a_name(house: House) -> None:
    put(house.alice, types=["task.failed"])
    assert put(house.charlie).status_code == 201
    assert house.alice.get(CONSUMER).json()["types"] == ["task.failed"]
    house.charlie.call("DELETE", CONSUMER)
    assert house.alice.get(CONSUMER).status_code == 200


def test_consumers__are_listed_by_name(house: House) -> None:
    for name in ("c", "a", "b"):
        put(house.alice, f"/v1/event-consumers/{name}")
    first = house.alice.get("/v1/event-consumers?limit=2").json()
    rest = house.alice.get(f"/v1/event-consumers?limit=2&cursor={first['next_cursor']}").json()
    assert [row["name"] for row in first["data"] + rest["data"]] == ["a", "b", "c"]
    assert rest["next_cursor"] is None
    assert faults(house.alice.get("/v1/event-consumers?types=x")) == {"/types": "unknown_parameter"}


@pytest.mark.parametrize(
    ("path", "settings", "found"),
    [
        ("Ledger", {}, {"/name": "pattern"}),
        ("a" * 65, {}, {"/name": "pattern"}),
        ("a%0A", {}, {"/name": "pattern"}),
        ("ledger", {"types": []}, {"/types": "too_short"}),
        ("ledger", {"types": ["task.created", "task.exploded"]},
        {"/types/1": "unknown_event_type"}),
        ("ledger", {"types": ["delivery.*"]}, {"/types/0": "unknown_event_type"}),
        ("ledger", {"types": "task.*"}, {"/types": "wrong_type"}),
        ("ledger", {"start": "yesterday"}, {"/start": "invalid_cursor"}),
        ("ledger", {"begin": "latest"}, {"/begin": "unknown_field"}),
        ("Ledger", {"types": ["x"], "start": "y"},
            {"/name": "pattern", "/types/0": "unknown_event_type", "/start": "invalid_cursor"}),
    ],
)  # fmt: skip
def test_consumer__bad_settings(
    house: House, path: str, settings: dict[str, Any], found: dict[str, str]
) -> None:
    with expect_unchanged():
        assert faults(put(house.alice, f"/v1/event-consumers/{path}", **settings)) == found


def test_consumer__ack_of_a_foreign_cursor(house: House) -> None:
    put(house.alice)
    put(house.charlie)
    foreign = house.charlie.get(CONSUMER).json()["cursor"]
    with expect_unchanged():
        for cursor in (foreign, "beginning", "latest", "x"):
            assert faults(ack(house.alice, cursor)) == {"/cursor": "invalid_cursor"}
        assert set(faults(house.alice.post(f"{CONSUMER}/ack", {}))) == {"/cursor"}


def test_consumer__reading_with_bad_parameters(house: House) -> None:
    put(house.alice)
    answer = house.alice.get(f"{CONSUMER}/events?after=latest&types=task.failed&limit=x")
    assert faults(answer) == {
        "/after": "unknown_parameter", "/types": "unknown_parameter", "/limit": "out_of_range",
    }  # fmt: skip


def test_consumer__lag_is_counted_so_far(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    consumers = import_module("apps.events.selectors.consumers")
    monkeypatch.setattr(consumers, "LAGS", consumers.LAGS.replace(str(consumers.MAX_COUNTED), "5"))
    house.completed()
    settle()
    shown = put(house.alice).json()
    assert (shown["lag"], shown["lag_is_exact"]) == (5, False)


# --- what an item can say besides ----------------------------------------------------------


def test_payload__is_no_parameter_while_nothing_is_offered(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(PAYLOAD_EXTENSIONS, "webhook", raising=False)
    answer = house.alice.get("/v1/events?payload=webhook")
    assert faults(answer) == {"/payload": "unknown_parameter"}


def test_payload__adds_to_each_item(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def lengths(found: Any) -> list[dict[str, int]]:
        return [{"length": len(event.type)} for event in found]

    monkeypatch.setitem(PAYLOAD_EXTENSIONS, "length", lengths)
    house.queued()
    items = feed(house.alice, "payload=length")["data"]
    assert [item["length"] for item in items] == [len("task.created"), len("task.queued")]
    assert faults(house.alice.get("/v1/events?payload=x")) == {"/payload": "not_one_of"}
