"""Test `/admin/stream` in the real process: who may read it, when it tells pages to look."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from django.conf import settings

from apps.accounts.models import BrowserSession, Member
from apps.console.streams import BEAT_SECONDS, CHECK_SECONDS, MAX_PER_SESSION
from tests.factories import House, member_of
from tests.pages.steps import browser, sign_in
from tests.streaming import StreamServer, frames_of, stream_server

EMAIL = "mara@northwind.example"
# The process runs as in production: behind a proxy that ends TLS.
PROXIED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}


@pytest.fixture(scope="module")
def server(migrated_database: None, django_db_blocker: Any) -> Iterator[StreamServer]:
    with django_db_blocker.unblock(), stream_server(BIOLAYER_TRUSTED_PROXIES="1") as running:
        yield running


@pytest.fixture
def mara(house: House) -> dict[str, str]:
    """Provide the headers with which the browser of a viewer asks for the stream."""
    member_of(house.organisation, EMAIL)
    client = browser()
    assert sign_in(client, EMAIL).status_code == 302
    return {
        **PROXIED,
        "Cookie": f"__Host-session={client.cookies[settings.SESSION_COOKIE_NAME].value}",
    }


@contextmanager
def following(server: StreamServer, headers: dict[str, str]) -> Iterator[Iterator[str]]:
    """Yield the names of the frames after the first."""
    with httpx.stream("GET", f"{server.url}/admin/stream", headers=headers, timeout=30) as response:
        assert response.status_code == 200, response.read()
        names = (frame.event for frame in frames_of(response.iter_lines()) if frame.event)
        assert next(names) == "changed"
        yield names


def test_stream__tells_pages_to_look_when_something_changes_and_in_between(
    house: House, mara: dict[str, str], server: StreamServer
) -> None:
    with following(server, mara) as names:
        began = time.monotonic()
        assert next(names) == "changed"
        assert time.monotonic() - began < BEAT_SECONDS + 1
        house.task()
        began = time.monotonic()
        assert next(names) == "changed"
        assert time.monotonic() - began < 1


@pytest.mark.parametrize("ended", ["session", "membership"])
def test_stream__ends_when_its_reader_may_see_nothing_any_more(
    house: House, mara: dict[str, str], server: StreamServer, ended: str
) -> None:
    with following(server, mara) as names:
        if ended == "session":
            BrowserSession.objects.all().delete()
        else:
            Member.objects.filter(user__email=EMAIL).delete()
        began = time.monotonic()
        assert "ended" in names
        assert time.monotonic() - began < CHECK_SECONDS + BEAT_SECONDS + 3


def test_stream__is_not_opened_without_a_session_or_from_another_origin(
    mara: dict[str, str], server: StreamServer
) -> None:
    url = f"{server.url}/admin/stream"
    assert httpx.get(url, headers=PROXIED).status_code == 204
    assert httpx.get(url, headers={**mara, "Origin": "https://mallory.example"}).status_code == 403
    assert httpx.post(url, headers=mara).status_code == 405


def test_stream__is_limited_for_each_session(mara: dict[str, str], server: StreamServer) -> None:
    with following(server, mara), following(server, mara), httpx.Client() as client:
        streams = [
            client.send(
                client.build_request("GET", f"{server.url}/admin/stream", headers=mara),
                stream=True,
            )
            for _ in range(MAX_PER_SESSION - 1)
        ]
        try:
            assert [one.status_code for one in streams] == [200] * (MAX_PER_SESSION - 2) + [429]
        finally:
            for one in streams:
                one.close()
