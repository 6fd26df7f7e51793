"""Serve `/api/agent/sessions`, where agents register before they claim."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.agents import selectors, services
from apps.api.http.operations import Query, operation
from apps.api.operations import representations
from apps.api.operations.requests import NewSessionBody, limit_of, session_id_of, state_of
from apps.api.operations.responses import SessionAnswer, SessionList
from apps.api.operations.views import OperationsView, answer

STATE = Query(
    "state",
    {"type": "string", "enum": ["active", "stopped"]},
    "Only sessions in this state.",
    "active",
)
LIMIT = Query("limit", {"type": "integer", "minimum": 0}, "The most sessions; 0: 500.", 50)


class Sessions(OperationsView):
    @operation(
        "registerAgentSession",
        scope=Scope.WORK,
        summary="Register a session of an agent",
        returns={201: SessionAnswer},
        body=NewSessionBody,
    )
    def post(self, request: Request) -> Response:
        body = self.body(request, NewSessionBody)
        new = services.NewSession(
            session_id=body.id,
            agent_name=body.agent_name,
            workspace_id=body.workspace_id,
            channel=body.channel,
            capabilities=tuple(body.capabilities),
        )
        session = services.register_session(actor=self.actor(request), new=new, at=self.at(request))
        return answer(SessionAnswer(session=representations.session(session)), 201)

    @operation(
        "listAgentSessions",
        scope=Scope.WORK,
        summary="List sessions of agents, newest first",
        returns={200: SessionList},
        query=(STATE, LIMIT),
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        rows = list(
            selectors.sessions(
                actor=self.actor(request),
                state=state_of(query.get("state", "")),
                limit=limit_of(query.get("limit", "")),
            )
        )
        held = selectors.held_runs(sessions=rows, at=self.at(request))
        shown = [representations.session(row, run_id=held.get(row.id)) for row in rows]
        return answer(SessionList(sessions=shown))


class Session(OperationsView):
    @operation(
        "getAgentSession",
        scope=Scope.WORK,
        summary="Get a session of an agent",
        returns={200: SessionAnswer},
    )
    def get(self, request: Request, session_id: str) -> Response:
        row = selectors.session(actor=self.actor(request), name=session_id_of(session_id))
        held = selectors.held_runs(sessions=[row], at=self.at(request))
        shown = representations.session(row, run_id=held.get(row.id))
        return answer(SessionAnswer(session=shown))

    @operation(
        "deleteAgentSession",
        scope=Scope.WORK,
        summary="End a session, and release what it holds",
        returns={200: SessionAnswer},
    )
    def delete(self, request: Request, session_id: str) -> Response:
        return _stopped(self, request, session_id)


class SessionStop(OperationsView):
    @operation(
        "stopAgentSession",
        scope=Scope.WORK,
        summary="End a session, and release what it holds",
        returns={200: SessionAnswer},
    )
    def post(self, request: Request, session_id: str) -> Response:
        return _stopped(self, request, session_id)


def _stopped(view: OperationsView, request: Request, session_id: str) -> Response:
    row = services.stop_session(
        actor=view.actor(request), name=session_id_of(session_id), at=view.at(request)
    )
    return answer(SessionAnswer(session=representations.session(row)))
