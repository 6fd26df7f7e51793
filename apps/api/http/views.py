"""The base of every view: who, when, and the headers that each answer carries."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.principal import Principal
from apps.api.http import problems
from apps.api.http.authentication import caller
from apps.api.http.framing import refuse_encoded
from apps.api.http.held import held_calls
from apps.api.http.operations import ATTRIBUTE
from apps.api.http.parameters import refuse_parameters
from apps.base.transactions import is_timeout
from biolayer.errors import NotFound


class View(APIView):
    """Translate a request into one call of a service, and its result into a response."""

    # Whether unknown parameters of the query are accepted where the call has none.
    ignores_query: ClassVar[bool] = False

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        """Return what makes a response of an error. An API with another error body overrides it."""
        return problems.handle

    def actor(self, request: Request) -> Principal:
        return caller(request).principal

    def at(self, request: Request) -> datetime:
        """The database's time of this call, read with the credential."""
        return caller(request).at

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        refuse_encoded(request)
        if not (self.ignores_query or self._has_parameters(request)):
            refuse_parameters(request)
        if _is_about_a_row(request, kwargs):
            held_calls.check(caller(request).principal.organisation_id, request.path)

    def _has_parameters(self, request: Request) -> bool:
        """Return whether the call takes parameters: then the view checks them."""
        method = getattr(self, str(request.method).lower(), None)
        return bool(getattr(getattr(method, ATTRIBUTE, None), "query", ()))

    def handle_exception(self, exc: Exception) -> Response:
        if is_timeout(exc) and _is_about_a_row(self.request, self.kwargs):
            held_calls.remember(caller(self.request).principal.organisation_id, self.request.path)
        return super().handle_exception(exc)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        answered = super().finalize_response(request, response, *args, **kwargs)
        rate = getattr(getattr(request, "_request", request), "biolayer_rate", None)
        if rate is not None:
            limit, remaining, reset_in = rate
            # draft-ietf-httpapi-ratelimit-headers
            answered["RateLimit-Policy"] = f'"key";q={limit};w=60'
            answered["RateLimit"] = f'"key";r={remaining};t={reset_in}'
        return answered


def _is_about_a_row(request: Request, names: Mapping[str, Any]) -> bool:
    """Whether the call changes the row that its path names, and nothing else need wait for that."""
    return bool(names) and request.method not in SAFE_METHODS and request.auth is not None


def parse_id(noun: str, text: str) -> UUID:
    """An id out of a path. What is no UUID names nothing. Raises `NotFound`."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(noun) from None
