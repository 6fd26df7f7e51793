"""Serve `/portal/stream` in the ASGI process: what changes for a worker or a reviewer, as SSE.

The browser's session authenticates it, as it does a page. The stream says what changed (`offers`,
`runs`, `messages`, `worker`, and `reviews` for who may review) and of which tasks, no more: the
page reads the rest by itself, with all checks of a page.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from apps.accounts.scopes import Scope
from apps.accounts.selectors import session_fingerprints
from apps.base.db_threads import run_on_thread
from apps.pools.selectors import worker_fingerprints
from apps.portal.live import Viewer, ViewerAccess, hub
from apps.ui.page_streams import open_stream, session_key_of
from apps.ui.sessions import principal_of, read_session
from biolayer.errors import AddressNotAllowed, NotFound, SecondFactorRequired

KEEP_ALIVE_SECONDS = 15.0
# How long a stream lasts: by chance, so that not all portals return at once after a restart.
MAX_SECONDS = (900.0, 1800.0)
MAX_PER_WORKER = 20
STATUS = {"signed_out": 401}


async def portal_stream(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Serve `GET /portal/stream`."""
    return await open_stream(request, _answer)


async def _answer(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    try:
        access = await run_on_thread(access_of, request)
    except PermissionError as refused:
        code = str(refused)
        return HttpResponse(code, status=STATUS.get(code, 403), content_type="text/plain")
    except (OperationalError, InterfaceError):
        return HttpResponse(status=503, headers={"Retry-After": "2"})
    if hub().count_of(access) >= MAX_PER_WORKER:
        return HttpResponse("too_many_streams", status=429, content_type="text/plain")
    viewer = Viewer(access, recheck=lambda: access_of(request))
    return StreamingHttpResponse(_frames(viewer), content_type="text/event-stream")


def access_of(request: HttpRequest) -> ViewerAccess:
    """Return on whose behalf the request's session may see a portal.

    Raise `PermissionError` with a code.
    """
    session_key = session_key_of(request)
    # Before the checks: what changes after them has another fingerprint at the next comparison.
    session = session_fingerprints([session_key]).get(session_key, "")
    read_session(request)
    try:
        principal = principal_of(request)
    except NotFound:
        raise PermissionError(
            "not_a_worker" if request.user.is_authenticated else "signed_out"
        ) from None
    except SecondFactorRequired:
        raise PermissionError("second_factor_required") from None
    except AddressNotAllowed:
        raise PermissionError("address_not_allowed") from None
    worker_id, may_review = principal.worker_id, Scope.TASKS_REVIEW.value in principal.scopes
    if worker_id is None and not may_review:
        raise PermissionError("not_a_worker")
    worker = worker_fingerprints([worker_id]).get(worker_id, "") if worker_id else ""
    return ViewerAccess(
        principal.organisation_id,
        worker_id,
        session_key,
        session,
        worker,
        principal.member_id,
        may_review,
    )


async def _frames(viewer: Viewer) -> AsyncIterator[bytes]:
    """Yield a frame for each change, and keep-alives in between, until the portal may not go on."""
    ends = time.monotonic() + random.uniform(*MAX_SECONDS)
    try:
        await hub().join(viewer)
        yield _frame("connected", {})
        while not viewer.ended and time.monotonic() < ends:
            try:
                await asyncio.wait_for(viewer.woken.wait(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield b": keep-alive\n\n"
                continue
            changes = viewer.take()
            if changes:
                yield _frame("changed", changes)
        yield _frame("ended", {"reason": viewer.ended or "time"})
    finally:
        hub().leave(viewer)


def _frame(name: str, data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
