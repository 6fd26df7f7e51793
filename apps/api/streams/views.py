"""Serve the calls of `/v1` that may wait, and the stream, in the ASGI process.

The views of the web process authenticate the caller and parse the query on a thread, which is free
again at once. The waiting itself uses neither a thread nor a connection.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.operations import operation
from apps.api.http.problems import problem_response
from apps.api.http.rendering import dump_json
from apps.api.http.views import View
from apps.api.streams import pages
from apps.api.streams.access import Access, check
from apps.api.streams.cursors import encode_cursor
from apps.api.streams.long_poll import wait
from apps.api.streams.params import AFTER, PAYLOAD, TYPES, FeedQuery, stream_query
from apps.api.streams.shared_readings import shared_readings
from apps.api.v1.events import ConsumerEvents, Events, PageResponse
from apps.base.db_threads import run_on_thread
from apps.events.feed_watcher import RETRY_SECONDS, watcher
from biolayer.responses.events import FeedItem

P = ParamSpec("P")
R = TypeVar("R")

KEEP_ALIVE_SECONDS = 15.0
# How long a stream lasts. Its client reconnects where it was.
MAX_SECONDS = 900.0


async def events(request: HttpRequest) -> HttpResponseBase:
    """Serve `GET /v1/events`."""
    return await _respond(request, Events.as_view(waits=False))


async def consumer_events(request: HttpRequest, name: str) -> HttpResponseBase:
    """Serve `GET /v1/event-consumers/{name}/events`."""
    return await _respond(request, ConsumerEvents.as_view(waits=False), name=name)


async def _respond(request: HttpRequest, view: Any, **names: str) -> HttpResponseBase:
    response: HttpResponseBase = await run_on_thread(view, request, **names)
    if isinstance(response, PageResponse) and request.method != "HEAD":
        try:
            page = await wait(response.query, response.page)
            if page.items and page is not response.page:
                await run_on_thread(check, request, response.query.actor)
        except Exception as error:
            return problem_response(request, error)
        response.data = pages.represented(response.query, page)
    return response


class StreamAccepted(Response):
    """Hold the query of a stream that the caller may open."""

    def __init__(self, query: FeedQuery) -> None:
        super().__init__()
        self.query = query


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
        return StreamAccepted(stream_query(self.actor(request), request._request))


async def stream(request: HttpRequest) -> HttpResponseBase:
    """Serve `GET /v1/events/stream`: the stream, or a problem before its first byte."""
    access = Access(request)
    accepted: HttpResponseBase = await run_on_thread(Stream.as_view(), request)
    if not isinstance(accepted, StreamAccepted):
        return accepted
    # HEAD: the headers of GET without its content (RFC 9110, 9.3.2).
    frames = _no_frames() if request.method == "HEAD" else _frames(accepted.query, access)
    response = StreamingHttpResponse(frames, content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    return response


async def _no_frames() -> AsyncIterator[bytes]:
    return
    yield


async def _frames(query: FeedQuery, access: Access) -> AsyncIterator[bytes]:
    """Yield every matching event after the query's position, and keep-alives in between.

    It ends when its credential may not read them any more: before the next event, if that is a
    second later, and else with the next keep-alive. The client reconnects, and is told why.
    """
    # It has an id: a client that is cut off before the first event reconnects at its start.
    yield _comment(b"connected", query)
    horizon: int | None = None
    ends = time.monotonic() + MAX_SECONDS
    keep_alive_at = time.monotonic() + KEEP_ALIVE_SECONDS
    while time.monotonic() < ends:
        page = await _patiently(shared_readings.page, query, horizon=horizon)
        query = pages.next_query(query, page)
        if page.items:
            if not await _patiently(access.allows, query.actor):
                return
            yield b"".join(map(_frame, page.items))
            keep_alive_at = time.monotonic() + KEEP_ALIVE_SECONDS
        horizon = page.horizon if page.has_more else None
        while horizon is None and time.monotonic() < ends:
            horizon = await watcher.wait(
                organisation_id=query.actor.organisation_id,
                horizon=page.horizon,
                seconds=keep_alive_at - time.monotonic(),
            )
            if time.monotonic() >= keep_alive_at:
                # While the database does not answer: a comment tells nothing, so it needs no check.
                with suppress(OperationalError, InterfaceError):
                    if not await access.allows(query.actor):
                        return
                yield _comment(b"keep-alive", query)
                keep_alive_at = time.monotonic() + KEEP_ALIVE_SECONDS
                break


async def _patiently(call: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return what the call returns. While the database does not answer, the stream waits for it."""
    while True:
        try:
            return await call(*args, **kwargs)
        except (OperationalError, InterfaceError):
            await asyncio.sleep(RETRY_SECONDS)


def _frame(item: FeedItem) -> bytes:
    head = f"id: {item.cursor}\nevent: {item.type}\ndata: "
    return head.encode() + dump_json(item) + b"\n\n"


def _comment(text: bytes, query: FeedQuery) -> bytes:
    """Return a comment with the stream's position as its id.

    Clients also store an id that has no data (WHATWG HTML, 9.2.6), so they reconnect after the
    events that did not match.
    """
    cursor = encode_cursor(query.after, query.actor.organisation_id, generation=query.generation)
    return b": " + text + b"\nid: " + cursor.encode() + b"\n\n"
