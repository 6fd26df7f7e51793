"""Serve `/admin/stream` in the ASGI process: that something changed, as Server-Sent Events.

A page reads what changed by itself, with all checks of a page. Figures that depend on the time, and
processes that ended, make no event: at least every `BEAT_SECONDS` a page is told to look.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from apps.accounts.selectors import session_fingerprints
from apps.accounts.sessions import stored_key
from apps.base.db_threads import run_on_thread
from apps.console.access import actor_of
from apps.events import selectors as events
from apps.events.feed_watcher import watcher
from apps.ui.sessions import read_session
from apps.ui.stream_address import page_origin
from biolayer.errors import NotFound, Refused

# The longest silence between two looks, and the shortest: a busy organisation changes all the time.
BEAT_SECONDS = 1.5
PAUSE_SECONDS = 0.3
CHECK_SECONDS = 5.0
MAX_SECONDS = 1200.0
MAX_PER_SESSION = 10

_open: Counter[str] = Counter()


@dataclass(frozen=True, slots=True)
class Access:
    """Hold whose stream it is, and a hash of the session that it depends on."""

    organisation_id: UUID
    session_key: str
    session: str


async def console_stream(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Serve `GET /admin/stream`."""
    origin = request.headers.get("Origin")
    if request.method != "GET" or origin not in (None, page_origin(request)):
        return HttpResponse(status=405 if request.method != "GET" else 403)
    response = await _answer(request)
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    response["Vary"] = "Cookie, Origin"
    if origin is not None:
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Allow-Credentials"] = "true"
    return response


async def _answer(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    try:
        access = await run_on_thread(access_of, request)
    except PermissionError as error:
        return HttpResponse(str(error), status=403, content_type="text/plain")
    except (OperationalError, InterfaceError):
        return HttpResponse(status=503, headers={"Retry-After": "2"})
    if _open[access.session_key] >= MAX_PER_SESSION:
        return HttpResponse("too_many_streams", status=429, content_type="text/plain")
    return StreamingHttpResponse(_frames(request, access), content_type="text/event-stream")


def access_of(request: HttpRequest) -> Access:
    """Return what the request's session may follow. Raise `PermissionError` with a code."""
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    session_key = stored_key(key) if key else ""
    # Before the checks: what changes after them has another fingerprint at the next comparison.
    session = session_fingerprints([session_key]).get(session_key, "")
    read_session(request)
    try:
        actor = actor_of(request)
    except NotFound:
        raise PermissionError("signed_out") from None
    except Refused as error:
        raise PermissionError(error.code) from None
    return Access(actor.organisation_id, session_key, session)


async def _frames(request: HttpRequest, access: Access) -> AsyncIterator[bytes]:
    """Yield a frame whenever pages should look again, until the session may not go on."""
    ends = time.monotonic() + MAX_SECONDS
    _open[access.session_key] += 1
    try:
        horizon: int | None = None
        checked_at = time.monotonic()
        yield _frame("changed")
        while time.monotonic() < ends:
            if time.monotonic() - checked_at > CHECK_SECONDS:
                if not await run_on_thread(_is_unchanged, request, access):
                    break
                checked_at = time.monotonic()
            horizon = await _next_change(access.organisation_id, horizon)
            yield _frame("changed")
        yield _frame("ended")
    finally:
        _open[access.session_key] -= 1
        if not _open[access.session_key]:
            del _open[access.session_key]


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


def _is_unchanged(request: HttpRequest, access: Access) -> bool:
    """Return whether the session may still follow; while the database is away, it may."""
    try:
        if session_fingerprints([access.session_key]).get(access.session_key) == access.session:
            return True
        return access_of(request).organisation_id == access.organisation_id
    except PermissionError:
        return False
    except (OperationalError, InterfaceError):
        return True


def _frame(name: str) -> bytes:
    return f"event: {name}\ndata: {{}}\n\n".encode()
