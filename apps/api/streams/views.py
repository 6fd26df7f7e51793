"""The doors of the ASGI process: the calls of `/v1` that may wait, and the stream.

Who calls and what is asked for is found out by the same views as in the web process, on a thread
that is given back at once. The waiting itself takes neither a thread nor a connection.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.operations import operation
from apps.api.http.problems import refuse
from apps.api.http.rendering import dumped
from apps.api.http.views import View
from apps.api.streams import pages
from apps.api.streams.cursors import sealed
from apps.api.streams.db_threads import on_thread, reading
from apps.api.streams.feed_watcher import AWAY_SECONDS, watcher
from apps.api.streams.long_poll import wait
from apps.api.streams.pages import Page
from apps.api.streams.params import AFTER, PAYLOAD, TYPES, FeedQuery, asked_of_stream
from apps.api.v1.events import ConsumerEvents, Events, PageAnswer
from biolayer.responses.events import FeedItem

KEEP_ALIVE_SECONDS = 15.0
MAX_SECONDS = 900.0
"""After so long a stream ends. Its client comes back where it was, and its key is looked at again."""


async def events(request: HttpRequest) -> HttpResponseBase:
    """`GET /v1/events`."""
    return await _answered(request, Events.as_view(waits=False))


async def consumer_events(request: HttpRequest, name: str) -> HttpResponseBase:
    """`GET /v1/event-consumers/{name}/events`."""
    return await _answered(request, ConsumerEvents.as_view(waits=False), name=name)


async def _answered(request: HttpRequest, view: Any, **names: str) -> HttpResponseBase:
    response: HttpResponseBase = await on_thread(view, request, **names)
    if isinstance(response, PageAnswer) and request.method != "HEAD":
        try:
            found = await wait(response.asked, response.found)
        except Exception as error:
            return refuse(request, error)
        response.data = pages.represented(response.asked, found)
    return response


class StreamAnswer(Response):
    """A stream that may be opened."""

    def __init__(self, asked: FeedQuery) -> None:
        super().__init__()
        self.asked = asked


class Stream(View):
    @operation(
        "stream_events",
        scope=Scope.TASKS_READ,
        summary="Stream the organisation's events as Server-Sent Events (by the stream process)",
        returns={200: None},
        query=(AFTER, TYPES, PAYLOAD),
        media_type="text/event-stream",
    )
    def get(self, request: Request) -> Response:
        return StreamAnswer(asked_of_stream(self.actor(request), request._request))


async def stream(request: HttpRequest) -> HttpResponseBase:
    """`GET /v1/events/stream`: the stream, or a problem before its first byte."""
    answer: HttpResponseBase = await on_thread(Stream.as_view(), request)
    if not isinstance(answer, StreamAnswer):
        return answer
    # HEAD: what GET would say before its first byte (RFC 9110, 9.3.2).
    frames = _nothing() if request.method == "HEAD" else _frames(answer.asked)
    response = StreamingHttpResponse(frames, content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    return response


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield


async def _frames(asked: FeedQuery) -> AsyncIterator[bytes]:
    """Every wanted event from where it was asked for on, and a sign of life where there is none."""
    # Whoever is cut off before the first event comes back to where it began.
    yield _sign(b"connected", asked)
    until: int | None = None
    ends = time.monotonic() + MAX_SECONDS
    silent_until = time.monotonic() + KEEP_ALIVE_SECONDS
    while time.monotonic() < ends:
        page = await _read(asked, until)
        asked = pages.after(asked, page)
        if page.items:
            yield b"".join(map(_frame, page.items))
            silent_until = time.monotonic() + KEEP_ALIVE_SECONDS
        until = page.until if page.has_more else None
        while until is None and time.monotonic() < ends:
            until = await watcher.news(
                organisation_id=asked.actor.organisation_id,
                since=page.until,
                seconds=silent_until - time.monotonic(),
            )
            if time.monotonic() >= silent_until:
                yield _sign(b"keep-alive", asked)
                silent_until = time.monotonic() + KEEP_ALIVE_SECONDS
                break


async def _read(asked: FeedQuery, until: int | None) -> Page:
    """The next page; while the database is away, the stream waits for it."""
    while True:
        try:
            return await reading.page(asked, until=until)
        except (OperationalError, InterfaceError):
            await asyncio.sleep(AWAY_SECONDS)


def _frame(item: FeedItem) -> bytes:
    head = f"id: {item.cursor}\nevent: {item.type}\ndata: "
    return head.encode() + dumped(item) + b"\n\n"


def _sign(word: bytes, asked: FeedQuery) -> bytes:
    """A comment, and the place: a client remembers an id that comes without data, too (WHATWG HTML,
    9.2.6), and so comes back behind whatever it did not want to see.
    """
    cursor = sealed(asked.after, asked.actor.organisation_id, generation=asked.generation)
    return b": " + word + b"\nid: " + cursor.encode() + b"\n\n"
