"""Serve `GET /api/tasks/{id}/stream` in the ASGI process: events of a task and those below it.

The view checks the call on a thread, before the first byte. The waiting itself uses neither a
thread nor a connection. The stream ends when its client leaves or may not read the task any more.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.agents.run_reading import StreamPage, stream_page
from apps.api.http.operations import operation
from apps.api.http.rendering import dump_json
from apps.api.operations.read_representations import timeline_items
from apps.api.operations.read_requests import AFTER, sequence_of
from apps.api.operations.read_responses import StreamedEvent
from apps.api.operations.views import OperationsView, identity_of
from apps.api.streams import access
from apps.api.streams.params import LAST_EVENT_ID
from apps.base.db_threads import run_on_thread
from apps.operations import selectors
from apps.operations.caller import Caller
from apps.operations.log_watcher import RETRY_SECONDS, watcher
from biolayer.errors import NotFound, Refused

KEEP_ALIVE_SECONDS = 15.0
# For how long a check of the caller is enough, so that a busy stream does not check at each event.
CHECK_SECONDS = 1.0
# A client that takes longer for a page, while another page and more is waiting, has fallen behind.
SLOW_SECONDS = 1.0


@dataclass(slots=True)
class TaskEvents:
    """Hold a stream that the caller may read, and up to which event it was sent."""

    caller: Caller
    task_id: str
    sent: int
    # Raises what a new call would be refused with.
    check: Callable[[], object]
    checked_at: float = field(default_factory=time.monotonic)

    async def is_allowed(self) -> bool:
        """Return whether it may go on, by a check of the last second."""
        if time.monotonic() < self.checked_at + CHECK_SECONDS:
            return True
        began = time.monotonic()
        try:
            await run_on_thread(self.check)
        except (NotFound, Refused):
            return False
        self.checked_at = began
        return True

    async def page(self, until: int) -> StreamPage | None:
        """Return the next events; None for a task that is not there any more.

        While the database does not answer, it waits for it.
        """
        read = partial(
            stream_page, caller=self.caller, task_id=self.task_id, after=self.sent, until=until
        )
        while True:
            try:
                return await run_on_thread(read)
            except (NotFound, Refused):
                return None
            except (OperationalError, InterfaceError):
                await asyncio.sleep(RETRY_SECONDS)


class StreamAccepted(Response):
    """Hold the stream that the caller may open."""

    def __init__(self, stream: TaskEvents) -> None:
        super().__init__()
        self.stream = stream


class TaskStream(OperationsView):
    @operation(
        "streamTask",
        scope=Scope.TASKS_READ,
        summary="Server-sent events of a task and its descendants",
        returns={200: None},
        query=(AFTER,),
        media_type="text/event-stream",
    )
    def get(self, request: Request, task_id: str) -> Response:
        caller = self.caller(request)
        # What was sent last is more recent than what the client began with.
        last = request.headers.get(LAST_EVENT_ID, "").strip()
        sent = (
            sequence_of(last, LAST_EVENT_ID)
            if last
            else sequence_of(request.query_params.get(AFTER.name, ""))
        )
        selectors.task_of(caller, task_id)
        check = partial(self.check_again, request, caller, task_id)
        return StreamAccepted(TaskEvents(caller, task_id, sent, check))

    def check_again(self, request: Request, caller: Caller, task_id: str) -> None:
        """Raise what a new call by these headers would be refused with."""
        present = access.check(request._request, caller.principal)
        if identity_of(request).session_id:
            self.session_again(request, present)
        selectors.task_of(caller, task_id)


async def task_stream(request: HttpRequest, task_id: str) -> HttpResponseBase:
    """Serve the stream, or an error before its first byte."""
    accepted: HttpResponseBase = await run_on_thread(TaskStream.as_view(), request, task_id=task_id)
    if not isinstance(accepted, StreamAccepted):
        return accepted
    # HEAD: the headers of GET without its content (RFC 9110, 9.3.2).
    sent = _nothing() if request.method == "HEAD" else frames(accepted.stream)
    response = StreamingHttpResponse(sent, content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["Connection"] = "keep-alive"
    response["X-Accel-Buffering"] = "no"
    return response


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield


async def frames(stream: TaskEvents) -> AsyncIterator[bytes]:
    """Yield the events that there are, then each new one, and a comment every 15 s without one.

    It ends where the client has fallen a page behind: it comes again with `Last-Event-ID`.
    """
    yield b": connected\n\n"
    until, is_live, is_slow = 0, False, False
    page = await stream.page(until)
    keep_alive_at = time.monotonic() + KEEP_ALIVE_SECONDS
    while page is not None:
        if not page.has_more:
            settled = await watcher.wait(
                page.task_ids,
                sent=stream.sent,
                read=until,
                seconds=keep_alive_at - time.monotonic(),
            )
            if settled is None:
                if not await _may_stay(stream):
                    return
                yield b": keep-alive\n\n"
                keep_alive_at = time.monotonic() + KEEP_ALIVE_SECONDS
                continue
            is_live, until = is_live or until > 0, settled
        page = await stream.page(until)
        if page is None or (is_live and is_slow and page.has_more):
            return
        if page.timeline.events:
            if not await _may_stay(stream):
                return
            began = time.monotonic()
            for sequence, frame in _framed(page):
                yield frame
                stream.sent = sequence
            is_slow = time.monotonic() > began + SLOW_SECONDS
            keep_alive_at = time.monotonic() + KEEP_ALIVE_SECONDS


async def _may_stay(stream: TaskEvents) -> bool:
    """Return whether the stream may go on; it may while the database does not answer."""
    with suppress(OperationalError, InterfaceError):
        return await stream.is_allowed()
    return True


def _framed(page: StreamPage) -> Iterator[tuple[int, bytes]]:
    for item in timeline_items(page.timeline):
        event = StreamedEvent(sequence=item.sequence, type=item.event_type, timeline=item)
        head = f"id: {item.sequence}\nevent: {item.event_type}\ndata: "
        yield item.sequence, head.encode() + dump_json(event.on_the_wire()) + b"\n\n"
