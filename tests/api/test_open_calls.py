"""Test that open streams and long polls end with the credential that opened them."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from oauth2_provider.models import AccessToken

from apps.accounts.models import ApiKey, Organisation
from apps.accounts.scopes import Scope
from apps.accounts.selectors.authentication import KEY
from apps.accounts.services import issue_key
from apps.api.streams import access, params, views
from apps.base import clock
from apps.base.db_threads import MAX_THREADS, run_on_thread
from apps.events.feed_watcher import watcher
from apps.events.selectors import Position
from tests.api.expect import expect_problem
from tests.api.oauth_steps import created, credentials_manager
from tests.api.test_streams import WAITERS, access_of, get, names, next_events
from tests.factories import Caller, House
from tests.streaming import StreamServer, listening, stream_server


@pytest.fixture(scope="module")
def server(migrated_database: None, django_db_blocker: Any) -> Iterator[StreamServer]:
    with django_db_blocker.unblock(), stream_server() as running:
        yield running


def client_token(house: House) -> str:
    """Return an access token of a client that acts for itself."""
    made = created(credentials_manager(house), grant_types=["client_credentials"], redirect_uris=[])
    form = {
        "grant_type": "client_credentials",
        "client_id": made["client_id"],
        "client_secret": made["client_secret"],
    }
    answer = house.alice.client.post("/oauth/token", form)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["access_token"])


STALE_SECONDS = access.CHECK_SECONDS + 0.3


def a_reader(house: House) -> tuple[str, QuerySet[ApiKey]]:
    """Return a key that reads the feed, and its row."""
    text = issue_key(
        organisation_id=house.organisation.id, name="Reader", scopes=[Scope.TASKS_READ]
    )
    return text, ApiKey.objects.filter(id=Caller(text).principal.key_id)


def end(what: str, house: House, key: "QuerySet[ApiKey]") -> None:
    match what:
        case "revoked":
            key.update(revoked_at=clock.now())
        case "expired":
            key.update(expires_at=clock.now())
        case "without its scope":
            key.update(scopes=[Scope.TASKS_CREATE])
        case "of other pools":
            key.update(pool_ids=[house.pool.id])
        case "of other networks":
            key.update(allowed_networks=["192.0.2.0/24"])
        case "of an organisation of other networks":
            networks = {"allowed_networks": ["192.0.2.0/24"]}
            Organisation.objects.filter(id=house.organisation.id).update(**networks)


ENDS = [
    "revoked",
    "expired",
    "without its scope",
    "of other pools",
    "of other networks",
    "of an organisation of other networks",
]


@pytest.mark.parametrize("what", ENDS)
def test_stream__ends_before_the_next_event_of_a_key(
    house: House, server: StreamServer, what: str
) -> None:
    text, key = a_reader(house)
    with listening(server.url, text) as frames:
        assert next(frames).comment == "connected"
        house.task()
        assert names(next_events(frames, 1)) == ["created"]
        end(what, house, key)
        time.sleep(STALE_SECONDS)
        house.task()
        assert list(frames) == []


def test_stream__ends_with_the_token(house: House, server: StreamServer) -> None:
    token = client_token(house)
    with listening(server.url, token) as frames:
        assert next(frames).comment == "connected"
        AccessToken.objects.all().delete()
        time.sleep(STALE_SECONDS)
        house.task()
        assert list(frames) == []


def heard(
    house: House, text: str, then: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> list[bytes]:
    """Return what a silent stream sends, if `then` happens after its first keep-alive."""
    monkeypatch.setattr(views, "MAX_SECONDS", 3.0)
    monkeypatch.setattr(views, "KEEP_ALIVE_SECONDS", 0.3)
    monkeypatch.setattr(access, "CHECK_SECONDS", 0.1)
    query = params.FeedQuery(Caller(text).principal, Position(0, 0), ("task.failed",))

    async def listen() -> list[bytes]:
        frames = views._frames(query, access_of(Caller(text)))
        found = [await anext(frames), await anext(frames)]
        await asyncio.to_thread(then)
        return found + [frame async for frame in frames]

    found = asyncio.run(listen())
    watcher.close()
    return found


def test_silent_stream__ends_at_the_next_keep_alive(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, key = a_reader(house)

    def revoke() -> None:
        key.update(revoked_at=clock.now())
        connection.close()

    assert len(heard(house, text, revoke, monkeypatch)) == 2
    assert len(heard(house, house.alice.key, lambda: None, monkeypatch)) > 5


def test_streams_of_a_key__share_a_check(house: House) -> None:
    accesses, actor = [access_of(house.alice) for _ in range(WAITERS)], house.alice.principal
    for one in accesses:
        one.checked_at -= access.CHECK_SECONDS
    sent: list[str] = []

    def watched(execute: Any, sql: str, *args: Any) -> Any:
        sent.append(sql)
        return execute(sql, *args)

    async def on_each_thread(call: Callable[[], None]) -> None:
        everyone = threading.Barrier(MAX_THREADS)

        def together() -> None:
            everyone.wait(10)
            call()

        await asyncio.gather(*(run_on_thread(together) for _ in range(MAX_THREADS)))

    async def check() -> list[bool]:
        await on_each_thread(lambda: connection.execute_wrappers.append(watched))
        try:
            found = await asyncio.gather(*(one.allows(actor) for one in accesses))
            # The check is fresh enough for the next events.
            return found + await asyncio.gather(*(one.allows(actor) for one in accesses))
        finally:
            await on_each_thread(connection.execute_wrappers.clear)

    assert asyncio.run(check()) == [True] * WAITERS * 2
    assert sent == [KEY]


@pytest.mark.parametrize("what", ENDS)
@pytest.mark.parametrize("path", ["/v1/events?after=latest", "/v1/event-consumers/own/events?"])
def test_poll__gives_nothing_to_a_key(
    house: House, server: StreamServer, what: str, path: str
) -> None:
    text, key = a_reader(house)
    made = Caller(text).put("/v1/event-consumers/own", {"start": "latest"})
    assert made.status_code == 201, made.content
    with ThreadPoolExecutor(1) as thread:
        poll = thread.submit(get, server, f"{path}&wait=20", text)
        time.sleep(0.7)
        end(what, house, key)
        house.task()
        answer = poll.result(20)
    assert answer.status_code in (401, 403), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_poll_of_the_web_process__gives_nothing_to_a_revoked_key(house: House) -> None:
    text, key = a_reader(house)
    reader = Caller(text)

    def poll() -> Any:
        try:
            return reader.get("/v1/events?after=latest&wait=20")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(poll)
        time.sleep(0.7)
        end("revoked", house, key)
        house.task()
        expect_problem(waiting.result(20), 401, "unauthenticated")
