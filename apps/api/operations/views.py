"""Provide the base class of this API's views: its errors, its bodies, and who calls."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django.db import InterfaceError, OperationalError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.agents.selectors import CallingSession, Identity, session_of_call
from apps.agents.services import note_call, session_caller
from apps.api.http import problems
from apps.api.http.parsing import OperationsParser
from apps.api.http.views import View
from apps.api.operations import errors
from apps.api.operations.requests import Body
from apps.api.operations.responses import Shape
from apps.operations.caller import Caller, person
from biolayer.contract import parse
from biolayer.errors import IdentityLookupUnavailable
from biolayer.field_descriptions import UUID as UUID_EXAMPLE

SESSION_ID, AGENT, WORKSPACE_ID = "X-AGH-Session-ID", "X-AGH-Agent", "X-AGH-Workspace-ID"
IDENTITY = (SESSION_ID, AGENT, WORKSPACE_ID)
HEADERS = {
    SESSION_ID: ("The session, as it was registered.", "drafter-7f3a", True),
    AGENT: ("The name of its agent.", "drafter", True),
    WORKSPACE_ID: ("The session's workspace; another one is refused.", UUID_EXAMPLE, False),
}
"""Of each header a description, an example, and whether it is required."""

B = TypeVar("B", bound=Body)


class OperationsView(View):
    """Translate a request into one call of a service, by the conventions of `/api`."""

    ignores_query = True
    parser_classes = [OperationsParser]
    # The methods whose invalid requests are answered 400: the contract lists 422 for the others.
    bad_requests: ClassVar[frozenset[str]] = frozenset()
    # What the ids of diagnostics about refused operations begin with.
    diagnostic_prefix: ClassVar[str] = "task.force"

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        return errors.handle

    def body(self, request: Request, model: type[B]) -> B:
        """Return the body as a `model`. Raise `InvalidInput`, `MalformedJSON`, `TooLarge`."""
        return parse(model, request.data)

    def caller(self, request: Request) -> Caller:
        """Return who calls: the session that the headers name, else the credential's owner.

        Raise as `session` does, where a header names a session or an agent.
        """
        identity = identity_of(request)
        if identity.session_id or identity.agent_name:
            return session_caller(self.actor(request), self.session(request))
        return person(self.actor(request))

    def reader(self, request: Request) -> Caller:
        """Return who calls, for a call that answers with more than it changed.

        Raise as `caller` does, and `ScopeMissing`, `RoleTooLow` unless it may read tasks.
        """
        caller = self.caller(request)
        caller.principal.require(Scope.TASKS_READ)
        return caller

    def session(self, request: Request) -> CallingSession:
        """Return the session that calls. Raise the errors of `session_of_call`, and
        `IdentityLookupUnavailable`.
        """
        try:
            session = session_of_call(actor=self.actor(request), identity=identity_of(request))
            note_call(session=session, at=self.at(request))
        except (OperationalError, InterfaceError) as error:
            problems.log_unexpected(request, error)
            raise IdentityLookupUnavailable("Send the call again in a moment.") from error
        return session

    def session_again(self, request: Request, principal: Principal) -> CallingSession:
        """Return the session of a call that is open already, as a new call would have it."""
        return session_of_call(actor=principal, identity=identity_of(request))


def identity_of(request: Request) -> Identity:
    """Return what the headers say about who calls; empty texts for what they do not say."""
    return Identity(
        session_id=request.headers.get(SESSION_ID, "").strip(),
        agent_name=request.headers.get(AGENT, "").strip(),
        workspace_id=request.headers.get(WORKSPACE_ID, "").strip(),
    )


def answer(body: Shape, status: int = 200) -> Response:
    return Response(body.on_the_wire(), status=status)
