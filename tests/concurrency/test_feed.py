"""Many writers and readers: no reader misses an event, gets one twice, or out of order."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx
import pytest
from django.db import connection, connections, transaction

from apps.base import clock
from apps.events.models import Event
from apps.tasks.models import Task
from apps.tasks.transitions import apply
from biolayer.lifecycle import Command
from tests.factories import Caller, House
from tests.streaming import StreamServer, listening, stream_server

WRITERS = 8
EVENTS_EACH = 60
TASKS = 6
ENDS_AFTER_SECONDS = 60

Seen = list[tuple[str, int]]


@pytest.fixture(scope="module")
def server(migrated_database: None, django_db_blocker: Any) -> Iterator[StreamServer]:
    with django_db_blocker.unblock(), stream_server() as running:
        yield running


class Undone(Exception):
    """Raised on purpose within a transaction."""


def write(actor: Any, task_ids: list[UUID], chance: random.Random) -> None:
    """One event of one of the tasks, by a transaction that may be odd."""
    oddity = chance.choice(["none", "none", "early id", "slow commit", "undone"])
    with transaction.atomic():
        if oddity == "early id":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()")
            time.sleep(chance.random() / 50)
        task = Task.objects.locked().get(id=chance.choice(task_ids))
        apply(task, Command.BREACH, actor=actor, at=clock.now())
        if oddity == "slow commit":
            time.sleep(chance.random() / 50)
        if oddity == "undone":
            raise Undone


def writer(house: House, task_ids: list[UUID], number: int) -> Callable[[], None]:
    actor, chance = house.alice.principal, random.Random(number)

    def run() -> None:
        try:
            written = 0
            while written < EVENTS_EACH:
                try:
                    write(actor, task_ids, chance)
                    written += 1
                except Undone:
                    continue
        finally:
            connections.close_all()

    return run


def cursor_reader(url: str, key: str, is_over: Callable[[int], bool], limit: int) -> Seen:
    """Reads page by page, as slowly as its pages are small."""
    seen: Seen = []
    after = "beginning"
    with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        while not is_over(len(seen)):
            query: dict[str, Any] = {"after": after, "limit": limit, "wait": 2}
            body = client.get(f"{url}/v1/events", params=query).raise_for_status().json()
            seen += [(item["task_id"], item["sequence"]) for item in body["data"]]
            after = body["next_cursor"]
    return seen


def stream_reader(url: str, key: str, is_over: Callable[[int], bool], number: int) -> Seen:
    """Listen, lose the connection after some events, and reconnect with the last event id."""
    seen: Seen = []
    chance = random.Random(number)
    last_id: str | None = None
    while not is_over(len(seen)):
        left = chance.randint(1, 60)
        with listening(url, key, last_id=last_id, after="beginning") as frames:
            for frame in frames:
                last_id = frame.id or last_id
                if frame.data is not None:
                    seen.append((frame.data["task_id"], frame.data["sequence"]))
                    left -= 1
                if left == 0 or is_over(len(seen)):
                    break
    return seen


def expect_whole_and_in_order(seen: Seen, written: Counter[str]) -> None:
    assert Counter(task_id for task_id, _ in seen) == written, "skipped or repeated"
    for task_id, count in written.items():
        sequences = [sequence for task, sequence in seen if task == task_id]
        assert sequences == list(range(1, count + 1)), f"out of order: {sequences}"


def test_feed__whole_and_in_order_for_every_reader(house: House, server: StreamServer) -> None:
    task_ids = [house.task(title=f"Task {number}").id for number in range(TASKS)]
    total = TASKS + WRITERS * EVENTS_EACH
    key, ends = house.alice.key, time.monotonic() + ENDS_AFTER_SECONDS

    def is_over(seen: int) -> bool:
        return seen >= total or time.monotonic() > ends

    with ThreadPoolExecutor(WRITERS + 5) as threads:
        readers = [
            *(threads.submit(cursor_reader, server.url, key, is_over, n) for n in (7, 50, 1000)),
            *(threads.submit(stream_reader, server.url, key, is_over, n) for n in (1, 2)),
        ]
        writers = [threads.submit(writer(house, task_ids, n)) for n in range(WRITERS)]
        for done in writers:
            done.result(ENDS_AFTER_SECONDS)
        logs = [reader.result(ENDS_AFTER_SECONDS + 30) for reader in readers]
    written = Counter(str(task_id) for task_id in Event.objects.values_list("task_id", flat=True))
    assert written.total() == total
    for seen in logs:
        expect_whole_and_in_order(seen, written)
    expect_inversions_were_tried()


def expect_inversions_were_tried() -> None:
    """Some events have a later position than their own transaction: else nothing was proven."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM events_event WHERE xmin::text <> xid::xid::text")
        assert cursor.fetchone()[0] > 0


def test_consumer__acknowledged_from_many_sides_ends_at_the_furthest(house: House) -> None:
    for number in range(12):
        house.task(title=f"Task {number}")
    path = "/v1/event-consumers/ledger"
    house.alice.call("PUT", path, {})
    cursors = [item["cursor"] for item in house.alice.get("/v1/events").json()["data"]]
    gate = threading.Barrier(len(cursors))

    def ack(cursor: str) -> int:
        try:
            gate.wait(10)
            answer = Caller(house.alice.key).post(f"{path}/ack", {"cursor": cursor})
            return int(answer.status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(cursors)) as threads:
        assert set(threads.map(ack, random.sample(cursors, len(cursors)))) == {200}
    assert house.alice.get(path).json()["cursor"] == cursors[-1]


def test_consumer__made_from_many_sides_is_made_once(house: House) -> None:
    gate = threading.Barrier(6)

    def put(number: int) -> int:
        try:
            gate.wait(10)
            answer = Caller(house.alice.key).call(
                "PUT", "/v1/event-consumers/ledger", {"types": ["task.*"]}
            )
            return int(answer.status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as threads:
        assert Counter(threads.map(put, range(6))) == {201: 1, 200: 5}
