"""Serve `/admin/stream` in the ASGI process: that something changed, as Server-Sent Events.

A page reads what changed by itself, with all checks of a page. Figures that depend on the time, and
processes that ended, make no event: at least every `BEAT_SECONDS` a page is told to look.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from apps.base.db_threads import run_on_thread
from apps.console.access import actor_of
from apps.events import selectors as events
from apps.events.feed_watcher import watcher
from apps.ui.page_streams import open_stream, session_key_of
from apps.ui.sessions import read_session
from biolayer.errors import NotFound, Refused

# The longest silence between two looks, and the shortest: a busy organisation changes all the time.
BEAT_SECONDS = 1.5
PAUSE_SECONDS = 0.3
CHECK_SECONDS = 5.0
MAX_SECONDS = 1200.0
MAX_PER_SESSION = 10

_open: Counter[str] = Counter()


async def console_stream(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Serve `GET /admin/stream`."""
    return await open_stream(request, _answer)


async def _answer(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    try:
        organisation_id = await run_on_thread(followed_by, request)
    except PermissionError as error:
        if str(error) == "signed_out":
            # A page that a person leaves by signing out may still open its stream. Browsers report
            # each 403 as a fault of the page; a 204 tells them not to connect again.
            return HttpResponse(status=204)
        return HttpResponse(str(error), status=403, content_type="text/plain")
    except (OperationalError, InterfaceError):
        return HttpResponse(status=503, headers={"Retry-After": "2"})
    if _open[session_key_of(request)] >= MAX_PER_SESSION:
        return HttpResponse("too_many_streams", status=429, content_type="text/plain")
    return StreamingHttpResponse(
        _frames(request, organisation_id), content_type="text/event-stream"
    )


def followed_by(request: HttpRequest) -> UUID:
    """Return the organisation that the request's session may follow now.

    Raise `PermissionError` with a code.
    """
    read_session(request)
    try:
        return actor_of(request).organisation_id
    except NotFound:
        raise PermissionError("signed_out") from None
    except Refused as error:
        raise PermissionError(error.code) from None


async def _frames(request: HttpRequest, organisation_id: UUID) -> AsyncIterator[bytes]:
    """Yield a frame whenever pages should look again, until the session may not go on."""
    ends = time.monotonic() + MAX_SECONDS
    session_key = session_key_of(request)
    _open[session_key] += 1
    try:
        horizon: int | None = None
        checked_at = time.monotonic()
        yield _frame("changed")
        while time.monotonic() < ends:
            if time.monotonic() - checked_at > CHECK_SECONDS:
                if not await run_on_thread(_may_go_on, request, organisation_id):
                    break
                checked_at = time.monotonic()
            horizon = await _next_change(organisation_id, horizon)
            yield _frame("changed")
        yield _frame("ended")
    finally:
        _open[session_key] -= 1
        if not _open[session_key]:
            del _open[session_key]


async def _next_change(organisation_id: UUID, horizon: int | None) -> int | None:
    """Wait for the next event, at most `BEAT_SECONDS`. Return the horizon; None when unknown."""
    began = time.monotonic()
    try:
        if horizon is None:
            horizon = await run_on_thread(events.horizon)
        reached = await watcher.wait(
            organisation_id=organisation_id, horizon=horizon, seconds=BEAT_SECONDS
        )
    except (OperationalError, InterfaceError):
        reached = None
        await asyncio.sleep(BEAT_SECONDS)
    await asyncio.sleep(max(0.0, PAUSE_SECONDS - (time.monotonic() - began)))
    return horizon if reached is None else reached


def _may_go_on(request: HttpRequest, organisation_id: UUID) -> bool:
    """Return whether the session still follows this organisation.

    An access of the installation's staff ends without a change of the session, so all is read
    again. While the database is away, it may go on.
    """
    try:
        return followed_by(request) == organisation_id
    except PermissionError:
        return False
    except (OperationalError, InterfaceError):
        return True


def _frame(name: str) -> bytes:
    return f"event: {name}\ndata: {{}}\n\n".encode()
