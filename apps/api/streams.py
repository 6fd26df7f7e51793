"""`GET /v1/events/stream`: an organisation's events as they happen, as Server-Sent Events.

Served by the ASGI process. Between looks it holds no database connection; a client that comes back
sends `Last-Event-ID` and misses nothing, since the feed shows an event only once no earlier one can
still appear.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.api.http.authentication import BearerAuthentication
from apps.api.http.problems import refuse
from apps.events import selectors as events
from apps.events.selectors import Position
from apps.tasks.selectors import visible_ids
from biolayer.errors import BioLayerError, Fault, InvalidInput

LOOK_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 15.0
MAX_SECONDS = 900.0
"""After so long a stream ends. Its client comes back where it was, and its key is looked at again."""
PAGE = 200


async def stream(request: HttpRequest) -> HttpResponseBase:
    """Answers the stream, or a problem before its first byte."""
    try:
        actor, after = await sync_to_async(_admit)(request)
    except BioLayerError as error:
        return refuse(request, error)
    response = StreamingHttpResponse(_frames(actor, after), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    return response


def _released(call: Callable[..., Any]) -> Callable[..., Any]:
    """Give the database connection back as soon as the look is over."""

    def look(*args: Any) -> Any:
        try:
            return call(*args)
        finally:
            connection.close()

    return look


def _admit(request: HttpRequest) -> tuple[Principal, Position]:
    actor, _ = BearerAuthentication().authenticate(Request(request))
    actor.require(Scope.TASKS_READ)
    last_id = request.headers.get("Last-Event-ID")
    after = events.latest_position() if last_id is None else Position.parse(last_id)
    if after is None:
        raise InvalidInput([Fault("", "invalid_cursor", "Last-Event-ID is none of this stream's")])
    connection.close()
    return actor, after


async def _frames(actor: Principal, after: Position) -> AsyncIterator[bytes]:
    look = sync_to_async(_released(_next_frames), thread_sensitive=False)
    quiet = 0.0
    yield b": connected\n\n"
    ends = time.monotonic() + MAX_SECONDS
    while time.monotonic() < ends:
        frames, after = await look(actor, after)
        for frame in frames:
            yield frame
        quiet = 0.0 if frames else quiet + LOOK_SECONDS
        if quiet >= KEEP_ALIVE_SECONDS:
            quiet = 0.0
            yield b": keep-alive\n\n"
        if len(frames) < PAGE:
            await asyncio.sleep(LOOK_SECONDS)


def _next_frames(actor: Principal, after: Position) -> tuple[list[bytes], Position]:
    """The frames after `after`, and where the feed stands now."""
    found = list(events.feed(organisation_id=actor.organisation_id, after=after)[:PAGE])
    if not found:
        return [], after
    visible = visible_ids(actor=actor, task_ids={event.task_id for event in found})
    frames = [
        f"id: {Position.of(event)}\nevent: {event.type}\ndata: ".encode()
        + orjson.dumps(events.shown(event))
        + b"\n\n"
        for event in found
        if event.task_id in visible
    ]
    return frames, Position.of(found[-1])
