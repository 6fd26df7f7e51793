"""Test the ASGI process as in production: `/v1/events/stream` and long polls."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from django.db import connection
from django.test import RequestFactory

from apps.accounts.scopes import Scope
from apps.accounts.services import issue_key
from apps.api.streams import params, views
from apps.api.streams.access import Access
from apps.api.streams.cursors import cursor_position
from apps.events.feed_watcher import LINGER_SECONDS, watcher
from apps.events.models import Event
from apps.events.selectors import Position
from apps.pools.services import provision_pool
from apps.tasks.services import queue_created
from biolayer.client import Backend
from tests.factories import Caller, House, contract
from tests.streaming import TLS, Frame, StreamServer, listening, stream_server

WAITERS = 40


@pytest.fixture(scope="module")
def server(migrated_database: None, django_db_blocker: Any) -> Iterator[StreamServer]:
    with django_db_blocker.unblock(), stream_server() as running:
        yield running


def next_events(frames: Iterator[Frame], count: int) -> list[Frame]:
    """Return the next events, without comments."""
    return list(islice((frame for frame in frames if frame.data is not None), count))


def names(frames: list[Frame]) -> list[str]:
    return [frame.event.removeprefix("task.") for frame in frames]


def access_of(caller: Caller) -> Access:
    """Return the access of a caller's open stream."""
    headers = {"Authorization": f"Bearer {caller.key}"}
    return Access(RequestFactory().get("/v1/events/stream", headers=headers))


def eventually(look: Callable[[], bool], what: str, seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < ends, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def get(server: StreamServer, path: str, key: str, **headers: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}", **headers}
    return httpx.get(f"{server.url}{path}", headers=headers, timeout=70, verify=TLS)


# --- the stream ----------------------------------------------------------------------------


def test_stream__sends_future_events(house: House, server: StreamServer) -> None:
    house.task(title="Before")
    with listening(server.url, house.alice.key) as frames:
        assert next(frames).comment == "connected"
        task = house.task(title="Now")
        (frame,) = next_events(frames, 1)
    log = house.alice.get(f"/v1/tasks/{task.id}/events").json()["data"][0]
    assert (frame.event, frame.data) == ("task.created", {**log, "cursor": frame.id})


def test_stream__from_the_beginning_and_by_type(house: House, server: StreamServer) -> None:
    house.completed()
    query = {"after": "beginning", "types": "task.created,task.completed"}
    with listening(server.url, house.alice.key, **query) as frames:
        assert names(next_events(frames, 2)) == ["created", "completed"]


def test_stream__resumes_without_gap_or_repeat(house: House, server: StreamServer) -> None:
    house.completed()
    seen: list[Frame] = []
    last_id = None
    while len(seen) < 9:
        query = {"after": "beginning"}  # Last-Event-ID takes precedence
        with listening(server.url, house.alice.key, last_id=last_id, **query) as frames:
            seen += next_events(frames, 2 if len(seen) < 8 else 1)
            last_id = seen[-1].id
    assert [frame.data["sequence"] for frame in seen] == list(range(1, 10))


def test_stream__cut_off_before_the_first_event_misses_nothing(
    house: House, server: StreamServer
) -> None:
    with listening(server.url, house.alice.key) as frames:
        start = next(frames)
    assert (start.comment, start.data) == ("connected", None)
    house.task()
    with listening(server.url, house.alice.key, last_id=start.id) as frames:
        assert names(next_events(frames, 1)) == ["created"]


def test_stream__sends_events_that_its_key_may_see(house: House, server: StreamServer) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    key = issue_key(organisation_id=house.organisation.id, name="Back", pool_ids=[other.id])
    with (
        listening(server.url, key) as back,
        listening(server.url, house.charlie.key) as strangers,
    ):
        assert (next(back).comment, next(strangers).comment) == ("connected", "connected")
        house.task(title="Anywhere")
        mine = house.task(requirements={"worker_pool_id": str(other.id)})
        assert next_events(back, 1)[0].data["task_id"] == str(mine.id)
        theirs = house.charlie.post("/v1/tasks", contract()).json()["task_id"]
        assert next_events(strangers, 1)[0].data["task_id"] == theirs


@pytest.mark.parametrize(
    ("path", "headers", "pointer"),
    [
        ("stream", {"Last-Event-ID": "12-34"}, ""),
        ("stream", {"Last-Event-ID": ""}, ""),
        ("stream?after=yesterday", {}, "/after"),
        ("stream?types=task.exploded", {}, "/types"),
        ("stream?limit=5", {}, "/limit"),
    ],
)
def test_stream__refused_before_its_first_byte(
    house: House, server: StreamServer, path: str, headers: dict[str, str], pointer: str
) -> None:
    answer = get(server, f"/v1/events/{path}", house.alice.key, **headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_routes__a_forged_address_does_nothing(house: House, server: StreamServer) -> None:
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Elsewhere",
        scopes=[Scope.TASKS_READ],
        allowed_networks=["203.0.113.7"],
    )
    forged = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    response = get(server, "/v1/events", key, **forged)
    assert (response.status_code, response.json()["code"]) == (403, "address_not_allowed")
    assert response.json()["missing"] == {"network": "127.0.0.1", "list": "key"}
    forged["Authorization"] = f"Bearer {key}"
    stream = httpx.head(f"{server.url}/v1/events/stream", headers=forged, verify=TLS)
    assert stream.status_code == 403


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/stream"])
def test_routes__need_a_credential(house: House, server: StreamServer, path: str) -> None:
    unknown = get(server, path, "bl_live_nobody")
    assert (unknown.status_code, unknown.json()["code"]) == (401, "unauthenticated")
    assert "WWW-Authenticate" in unknown.headers
    key = issue_key(
        organisation_id=house.organisation.id, name="Posts", scopes=[Scope.TASKS_CREATE]
    )
    lesser = get(server, path, key)
    assert (lesser.status_code, lesser.json()["code"]) == (403, "scope_missing")
    posted = httpx.post(
        f"{server.url}{path}", headers={"Authorization": f"Bearer {house.alice.key}"}
    )
    assert (posted.status_code, posted.json()["code"]) == (405, "method_not_allowed")


def test_stream__a_cursor_of_another_organisation_is_refused(
    house: House, server: StreamServer
) -> None:
    cursor = get(server, "/v1/events", house.charlie.key).json()["next_cursor"]
    answer = get(server, "/v1/events/stream", house.alice.key, **{"Last-Event-ID": cursor})
    assert answer.json()["errors"][0]["code"] == "invalid_cursor"


def test_stream__keep_alive_has_the_present_position(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Move the position past other events, so that a client does not return far back."""
    monkeypatch.setattr(views, "KEEP_ALIVE_SECONDS", 0.3)
    query = params.FeedQuery(house.alice.principal, Position(0, 0), ("task.failed",))
    house.task()

    async def listen() -> list[bytes]:
        frames = views._frames(query, access_of(house.alice))
        found = [await anext(frames) for _ in range(3)]
        await frames.aclose()  # type: ignore[attr-defined]
        return found

    first, *later = asyncio.run(listen())
    watcher.close()
    assert first.startswith(b": connected\nid: ")
    for frame in later:
        assert frame.startswith(b": keep-alive\nid: ")
        position = cursor_position(frame.split(b"id: ")[1].strip().decode(), house.organisation.id)
        assert position is not None
        assert position > Position.of(Event.objects.get())


def test_stream__ends_in_the_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the stream, so that its client reconnects."""
    monkeypatch.setattr(views, "MAX_SECONDS", 0.5)
    monkeypatch.setattr(views, "KEEP_ALIVE_SECONDS", 0.2)
    query = params.FeedQuery(house.alice.principal, Position(0, 0), ("task.failed",))

    async def listen() -> int:
        return len([frame async for frame in views._frames(query, access_of(house.alice))])

    assert 2 <= asyncio.run(listen()) <= 5
    watcher.close()


# --- the long poll -------------------------------------------------------------------------


def test_poll__answers_as_the_web_process_does(house: House, server: StreamServer) -> None:
    house.completed()
    for query in ("", "?limit=3", "?types=task.completed&wait=5", "?limit=0&x=1", "?after=x"):
        web = house.alice.get(f"/v1/events{query}")
        stream = get(server, f"/v1/events{query}", house.alice.key)
        theirs = {**stream.json(), "request_id": ""}
        assert (stream.status_code, theirs) == (web.status_code, {**web.json(), "request_id": ""})
        for name in ("Content-Type", "RateLimit-Policy", "X-Content-Type-Options"):
            assert stream.headers[name] == web[name]


def test_poll__as_many_wait_as_like_to(house: House, server: StreamServer) -> None:
    house.alice.call("PUT", "/v1/event-consumers/ledger", {"start": "latest"})
    consumer = "/v1/event-consumers/ledger/events?wait=30"

    def poll(number: int) -> tuple[list[str], float]:
        path = consumer if number % 2 else "/v1/events?after=latest&wait=30"
        body = get(server, path, house.alice.key).json()
        return [item["task_id"] for item in body["data"]], time.monotonic()

    with ThreadPoolExecutor(WAITERS) as threads:
        polls = [threads.submit(poll, number) for number in range(WAITERS)]
        time.sleep(3)
        assert not any(poll.done() for poll in polls)
        assert connections() == 1  # the watcher's
        assert psutil.Process(server.pid).num_threads() < 15
        task, made_at = house.task(), time.monotonic()
        answers = [poll.result(20) for poll in polls]
    assert [found for found, _ in answers] == [[str(task.id)]] * WAITERS
    assert max(answered_at for _, answered_at in answers) - made_at < 5


def test_poll__ends_empty_after_its_time(house: House, server: StreamServer) -> None:
    started = time.monotonic()
    body = get(server, "/v1/events?after=latest&wait=1", house.alice.key).json()
    assert 0.9 < time.monotonic() - started < 4
    assert (body["data"], body["has_more"]) == ([], False)


def test_client__feed_has_no_end(house: House, server: StreamServer) -> None:
    task = house.task()
    with Backend(server.url, house.alice.key) as backend:
        feed = backend.feed(wait=10)
        assert next(feed)["task_id"] == str(task.id)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(next, feed)
            time.sleep(0.5)
            assert queue_created() == 1
            queued = waiting.result(15)
        assert queued["type"] == "task.queued"
        again = backend.feed(after=queued["cursor"], types="task.cancelled", wait=10)
        house.alice.post(f"/v1/tasks/{task.id}/cancel")
        assert next(again)["sequence"] == 3


# --- what it costs, and what it survives ---------------------------------------------------


def connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def test_idle__streams_hold_neither_connection_nor_thread(
    house: House, server: StreamServer
) -> None:
    eventually(lambda: connections() == 0, "the connections of earlier tests are given back")
    with ExitStack() as stack:
        for _ in range(WAITERS):
            frames = stack.enter_context(listening(server.url, house.alice.key))
            assert next(frames).comment == "connected"
        # The watcher's, shared by all streams.
        eventually(lambda: connections() == 1, "only the watcher has a connection")
        assert psutil.Process(server.pid).num_threads() < 15
    eventually(lambda: connections() == 0, "the watcher gave its back", LINGER_SECONDS + 10)


@contextmanager
def database_away() -> Iterator[None]:
    """Close all connections except ours, and refuse new ones until the block ends."""
    name = connection.settings_dict["NAME"]
    parameters = {**connection.get_connection_params(), "dbname": "postgres"}
    for ours in ("cursor_factory", "prepare_threshold", "server_side_binding", "context"):
        parameters.pop(ours, None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (our_pid,) = cursor.fetchone()
    with psycopg.connect(**parameters, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND pid <> %s",
                [name, our_pid],
            )
            yield
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def test_database_away__streams_and_polls_continue_afterwards(
    house: House, server: StreamServer
) -> None:
    path = "/v1/events?after=latest&wait=30"
    with (
        listening(server.url, house.alice.key) as frames,
        ThreadPoolExecutor(1) as thread,
    ):
        assert next(frames).comment == "connected"
        poll = thread.submit(get, server, path, house.alice.key)
        time.sleep(1)
        with database_away():
            away = get(server, "/v1/events", house.alice.key)
            assert (away.status_code, away.json()["code"]) == (503, "unavailable")
            assert away.headers["Retry-After"] == "1"
            task = house.task()
            time.sleep(1.5)
            assert not poll.done()
        assert next_events(frames, 1)[0].data["task_id"] == str(task.id)
        assert poll.result(20).json()["data"][0]["task_id"] == str(task.id)


def test_process__ends_soon_while_streams_are_open(house: House) -> None:
    with stream_server() as own:
        with listening(own.url, house.alice.key) as frames:
            assert next(frames).comment == "connected"
            started = time.monotonic()
            psutil.Process(own.pid).terminate()
            with pytest.raises(httpx.HTTPError):
                list(frames)
        assert time.monotonic() - started < 8


@pytest.mark.parametrize("path", ["/v1/events?after=beginning", "/v1/events?limit=0"])
def test_poll__of_a_test_key_is_marked(house: House, server: StreamServer, path: str) -> None:
    key = issue_key(organisation_id=house.organisation.id, name="Tests", is_test=True)
    assert get(server, path, key).headers["BioLayer-Sandbox"] == "true"
    assert "BioLayer-Sandbox" not in get(server, path, house.alice.key).headers


def test_stream__of_a_test_key_is_marked_and_has_its_own_events(
    house: House, server: StreamServer
) -> None:
    key = issue_key(organisation_id=house.organisation.id, name="Tests", is_test=True)
    house.task()
    url = f"{server.url}/v1/events/stream?after=beginning"
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.stream("GET", url, headers=headers, timeout=20) as stream:
        assert stream.headers["BioLayer-Sandbox"] == "true"
        # Its first line is the comment; the live task's event would follow at once
        first = next(stream.iter_lines())
    assert first.startswith(": connected")
    assert get(server, "/v1/events?after=beginning", key).json()["data"] == []
