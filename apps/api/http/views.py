"""The base of every view: who, when, and the headers that each answer carries."""

from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.views import APIView

from apps.accounts.principal import Principal
from apps.api.http.authentication import caller
from biolayer.errors import NotFound


class View(APIView):
    """A door: translates in, makes one call, translates out."""

    def actor(self, request: Request) -> Principal:
        return caller(request).principal

    def at(self, request: Request) -> datetime:
        """The database's time of this call, read with the credential."""
        return caller(request).at

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        answered = super().finalize_response(request, response, *args, **kwargs)
        rate = getattr(getattr(request, "_request", request), "biolayer_rate", None)
        if rate is not None:
            limit, remaining, reset_in = rate
            # draft-ietf-httpapi-ratelimit-headers
            answered["RateLimit-Policy"] = f'"key";q={limit};w=60'
            answered["RateLimit"] = f'"key";r={remaining};t={reset_in}'
        return answered


def identified(noun: str, text: str) -> UUID:
    """An id out of a path. What is no UUID names nothing. Raises `NotFound`."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(noun) from None
