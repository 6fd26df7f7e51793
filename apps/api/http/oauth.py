"""`/oauth/token` and `/oauth/revoke`, throttled: an address, and a client, may ask for so many tokens a minute."""

import base64
from collections.abc import Mapping
from itertools import chain
from urllib.parse import unquote_plus

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views import View
from oauth2_provider.views.base import RevokeTokenView, TokenView

from apps.api.http.authentication import client_address
from apps.api.http.framing import refuse_encoded
from apps.api.http.problems import refuse
from apps.api.http.throttling import WINDOW_SECONDS, count_call
from biolayer.errors import UnsupportedEncoding

CALLS_OF_AN_ADDRESS = 60
CALLS_OF_A_CLIENT = 120
"""In a minute. A token lasts an hour, so that nobody needs many."""


class _Guarded(View):
    """What comes before a view of DOT's: two counters, and what it could not read.

    Without Redis everything passes the counters, as elsewhere.
    """

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        try:
            refuse_encoded(request)
        except UnsupportedEncoding as error:
            return refuse(request, error)
        refusal = _over_a_limit(request) or _unreadable(request)
        try:
            return refusal or super().dispatch(request, *args, **kwargs)
        except ValueError:
            # Such as a query that is not percent-encoded (RFC 6749, 5.2).
            return _error(400, "invalid_request")


class GuardedTokenView(_Guarded, TokenView):
    pass


class GuardedRevokeTokenView(_Guarded, RevokeTokenView):
    pass


def _over_a_limit(request: HttpRequest) -> HttpResponseBase | None:
    limits = {f"token-address:{client_address(request)}": CALLS_OF_AN_ADDRESS}
    client = _client_id(request)
    if client:
        limits[f"token-client:{client[:100]}"] = CALLS_OF_A_CLIENT
    for name, limit in limits.items():
        counted = count_call(name)
        if counted is not None and counted.used > limit:
            return _refused(limit, counted.reset_in)
    return None


def _unreadable(request: HttpRequest) -> HttpResponseBase | None:
    """Refuse what PostgreSQL cannot look for: U+0000, and credentials that are no text at all."""
    client = _client_id(request)
    if client is None or "\x00" in client:
        # RFC 6749, 5.2: whatever it is, no client is named so.
        return _error(401, "invalid_client", {"WWW-Authenticate": 'Basic realm="biolayer"'})
    texts = chain.from_iterable((name, *values) for name, values in request.POST.lists())
    return _error(400, "invalid_request") if any("\x00" in text for text in texts) else None


def _client_id(request: HttpRequest) -> str | None:
    """Return the client that a token is asked for (RFC 6749, 2.3.1); None for unreadable credentials."""
    scheme, _, pair = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return str(request.POST.get("client_id", ""))
    try:
        name, colon, _ = base64.b64decode(pair.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    # Both parts are form-encoded before they are put together.
    return unquote_plus(name) if colon else None


def _error(status: int, code: str, headers: Mapping[str, str] | None = None) -> HttpResponseBase:
    headers = {"Cache-Control": "no-store", **(headers or {})}
    return JsonResponse({"error": code}, status=status, headers=headers)


def _refused(limit: int, seconds: int) -> HttpResponseBase:
    text = f"At most {limit} calls in {WINDOW_SECONDS} s; a token lasts an hour."
    body = {"error": "rate_limited", "error_description": text}
    headers = {"Retry-After": str(seconds), "Cache-Control": "no-store"}
    return JsonResponse(body, status=429, headers=headers)
