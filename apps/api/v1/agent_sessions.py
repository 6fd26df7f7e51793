"""Serve `/v1/agent-sessions`, where agents register before they claim."""

import re
from urllib.parse import quote

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.agents import selectors, services
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View
from apps.api.v1.filters import SESSION_FILTERS, session_filter
from apps.api.v1.representations import agents as representations
from biolayer.contract import parse
from biolayer.errors import Fault, InvalidInput, NotFound
from biolayer.requests.agents import SESSION_ID, AgentSessionCreation
from biolayer.responses import agents as responses

NEWEST_FIRST = Keyset(("created_at", "id"), descending=True)


class AgentSessions(View):
    @operation(
        "register_agent_session",
        scope=Scope.POOLS_MANAGE,
        summary="Register a session of an agent",
        returns={201: responses.AgentSession, 200: responses.AgentSession},
        body=AgentSessionCreation,
    )
    def post(self, request: Request) -> Response:
        body, at = parse(AgentSessionCreation, request.data), self.at(request)

        def register() -> CallResult:
            new = services.NewSession(
                session_id=body.session_id,
                agent_name=body.agent_name,
                workspace_id=body.pool_id,
                channel=body.channel or "",
                capabilities=tuple(body.capabilities),
            )
            try:
                row = services.register_session(actor=self.actor(request), new=new, at=at)
            except NotFound:
                detail = "must be the id of one of your pools, which the agent's worker is in"
                raise InvalidInput([Fault("/pool_id", "unknown_pool", detail)]) from None
            held = selectors.held_runs(sessions=[row], at=at)
            shown = representations.session(row, run_id=held.get(row.id))
            location = {"Location": f"/v1/agent-sessions/{quote(row.session_id, safe='')}"}
            return CallResult(shown, 201 if row.created_at == at else 200, location)

        return idempotent(request, request.data, register)

    @operation(
        "list_agent_sessions",
        scope=Scope.POOLS_READ,
        summary="List sessions of agents, newest first",
        returns={200: responses.AgentSessionPage},
        query=(*SESSION_FILTERS, *PAGED),
    )
    def get(self, request: Request) -> Response:
        visible = selectors.sessions(actor=self.actor(request), wanted=session_filter(request))
        found = page(request, visible, NEWEST_FIRST)
        held = selectors.held_runs(sessions=found.rows, at=self.at(request))
        data = [representations.session(row, run_id=held.get(row.id)) for row in found.rows]
        return Response(responses.AgentSessionPage(data=data, next_cursor=found.next_cursor))


class AgentSession(View):
    @operation(
        "get_agent_session",
        scope=Scope.POOLS_READ,
        summary="Get a session of an agent, with the run that it holds",
        returns={200: responses.AgentSession},
    )
    def get(self, request: Request, session_id: str) -> Response:
        row = selectors.session(actor=self.actor(request), name=_name(session_id))
        held = selectors.held_runs(sessions=[row], at=self.at(request))
        return Response(representations.session(row, run_id=held.get(row.id)))

    @operation(
        "end_agent_session",
        scope=Scope.POOLS_MANAGE,
        summary="End a session, and release what it holds at once",
        returns={204: None},
    )
    def delete(self, request: Request, session_id: str) -> Response:
        services.stop_session(
            actor=self.actor(request), name=_name(session_id), at=self.at(request)
        )
        return Response(status=204)


class AgentSessionHeartbeat(View):
    @operation(
        "heartbeat_agent_session",
        scope=Scope.POOLS_MANAGE,
        summary="Say that a session is alive; leases are renewed by heartbeats of their runs",
        returns={200: responses.AgentSession},
    )
    def post(self, request: Request, session_id: str) -> Response:
        name, at = _name(session_id), self.at(request)

        def heartbeat() -> CallResult:
            row = services.heartbeat_session(actor=self.actor(request), name=name, at=at)
            held = selectors.held_runs(sessions=[row], at=at)
            return CallResult(representations.session(row, run_id=held.get(row.id)))

        return idempotent(request, request.data, heartbeat)


def _name(text: str) -> str:
    """Return the id of a session in a path. Raise `NotFound` for a text that is none."""
    if not re.fullmatch(SESSION_ID, text):
        raise NotFound("session")
    return text
