"""Serve `POST /api/agent/tasks/claim-next` in the ASGI process, for any number of agents that wait.

The view authenticates the session and looks once, on a thread. The waiting itself uses neither a
thread nor a connection, and ends when the client goes away: see apps/agents/claim_watcher.py.
"""

import time

from django.http import HttpRequest, HttpResponseBase
from rest_framework.response import Response

from apps.agents.claim_watcher import Place, watcher
from apps.agents.services.claims import WAIT_SECONDS
from apps.api.operations import representations
from apps.api.operations.agent_tasks import AgentClaimNext, ClaimCall, NothingYet
from apps.api.operations.errors import handle
from apps.base.db_threads import run_on_thread


async def claim_next(request: HttpRequest) -> HttpResponseBase:
    """Serve the call as the web process does, and try again while its caller waits."""
    response: HttpResponseBase = await run_on_thread(AgentClaimNext.as_view(waits=False), request)
    if not isinstance(response, NothingYet):
        return response
    try:
        claim = await _first(response.call)
    except Exception as error:
        return _like(response, handle(error, {"request": request, "view": AgentClaimNext}))
    return response if claim is None else _like(response, claim)


async def _first(call: ClaimCall) -> Response | None:
    """Return the answer to the first claim; None when the time is up."""
    ends = time.monotonic() + WAIT_SECONDS
    place = Place(call.session.organisation_id, call.session.workspace_id)
    with watcher.waiting(place) as waiter:
        while True:
            # Also once before it waits: what was queued before it was registered wakes no one.
            answer, has_missed = await run_on_thread(_answer, call)
            if answer is not None:
                return answer
            left = ends - time.monotonic()
            if not await watcher.turn(waiter, seconds=left, has_missed=has_missed):
                return None


def _answer(call: ClaimCall) -> tuple[Response | None, bool]:
    """Look once. Return the answer to a claim, and whether there was a run that was locked."""
    looked = call.look_again()
    if looked.claim is None:
        return None, looked.has_missed
    shown = representations.claim(looked.claim, actor=call.actor).on_the_wire()
    return Response(shown), looked.has_missed


def _like(first: Response, later: Response) -> Response:
    """Return a response that is rendered as the first one would have been."""
    later.accepted_renderer = first.accepted_renderer
    later.accepted_media_type = first.accepted_media_type
    later.renderer_context = first.renderer_context  # type: ignore[attr-defined]
    for name, value in first.headers.items():
        later.headers.setdefault(name, value)
    return later
