"""Provide the base class of all views: the caller, the time, checks and common headers."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.principal import Principal
from apps.api.http import problems, rate_limits
from apps.api.http.authentication import caller
from apps.api.http.framing import check_encoding
from apps.api.http.links import Links
from apps.api.http.lock_timeouts import lock_timeouts
from apps.api.http.operations import ATTRIBUTE
from apps.api.http.parameters import check_no_parameters
from apps.base.transactions import is_timeout
from biolayer.errors import NotFound


class View(APIView):
    """Translate a request into one call of a service, and its result into a response."""

    # Whether a call without parameters ignores those that are given.
    ignores_query: ClassVar[bool] = False

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        """Return the function that converts errors. APIs with other error bodies override this."""
        return problems.handle

    def actor(self, request: Request) -> Principal:
        return caller(request).principal

    def at(self, request: Request) -> datetime:
        """Return the database's time of this call, read with the credential."""
        return caller(request).at

    def links(self, request: Request) -> Links:
        """Return what makes links to files for the caller."""
        return Links(self.actor(request), self.at(request))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        check_encoding(request)
        if not (self.ignores_query or self._has_parameters(request)):
            check_no_parameters(request)
        if _changes_named_row(request, kwargs):
            lock_timeouts.check(caller(request).principal.organisation_id, request.path)

    def _has_parameters(self, request: Request) -> bool:
        """Return whether the call takes parameters, which its view then checks.

        True also for a method that the view refuses, as another refusal would hide that one.
        """
        method = getattr(self, str(request.method).lower(), None)
        described = getattr(method, ATTRIBUTE, None)
        return described is None or bool(described.query)

    def handle_exception(self, exc: Exception) -> Response:
        if is_timeout(exc) and _changes_named_row(self.request, self.kwargs):
            lock_timeouts.add(caller(self.request).principal.organisation_id, self.request.path)
        return super().handle_exception(exc)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        final = super().finalize_response(request, response, *args, **kwargs)
        levels = getattr(getattr(request, "_request", request), "biolayer_rate", ())
        if levels:
            for name, value in rate_limits.headers(levels).items():
                final[name] = value
        return final


def _changes_named_row(request: Request, names: Mapping[str, Any]) -> bool:
    """Return whether the call changes the row that its path names, so that it may fail fast."""
    return bool(names) and request.method not in SAFE_METHODS and request.auth is not None


def parse_id(noun: str, text: str) -> UUID:
    """Return the id in a path. Raise `NotFound`, also for a text that is not a UUID."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(noun) from None
