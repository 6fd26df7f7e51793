"""Serve `/oauth/token` and `/oauth/revoke`, with limits per address and per client."""

import base64
from collections.abc import Mapping
from itertools import chain
from urllib.parse import unquote_plus

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views import View
from oauth2_provider.views.base import RevokeTokenView, TokenView

from apps.api.http.framing import check_encoding
from apps.api.http.problems import problem_response
from apps.api.http.throttling import WINDOW_SECONDS, count_call
from apps.base.addresses import client_address
from biolayer.errors import UnsupportedEncoding

# Per minute. A token lasts an hour, so a client needs few.
CALLS_PER_ADDRESS = 60
CALLS_PER_CLIENT = 120


class _Throttled(View):
    """Count the calls of a view of Django OAuth Toolkit, and refuse what it cannot read.

    Without Redis no call is refused by its count, as in `KeyThrottle`.
    """

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        try:
            check_encoding(request)
        except UnsupportedEncoding as error:
            return problem_response(request, error)
        refusal = _limit_exceeded(request) or _unreadable(request)
        try:
            return refusal or super().dispatch(request, *args, **kwargs)
        except ValueError:
            # Such as a query that is not percent-encoded (RFC 6749, 5.2).
            return _error(400, "invalid_request")


class ThrottledTokenView(_Throttled, TokenView):
    pass


class ThrottledRevokeTokenView(_Throttled, RevokeTokenView):
    pass


def _limit_exceeded(request: HttpRequest) -> HttpResponseBase | None:
    """Count the call. Return the refusal if a limit is exceeded."""
    limits = {f"token-address:{client_address(request)}": CALLS_PER_ADDRESS}
    client = _client_id(request)
    if client:
        limits[f"token-client:{client[:100]}"] = CALLS_PER_CLIENT
    for name, limit in limits.items():
        call_count = count_call(name)
        if call_count is not None and call_count.used > limit:
            return _rate_limited(limit, call_count.reset_in)
    return None


def _unreadable(request: HttpRequest) -> HttpResponseBase | None:
    """Return the refusal of what PostgreSQL cannot store: U+0000, and credentials not in UTF-8."""
    client = _client_id(request)
    if client is None or "\x00" in client:
        # No client can have such a name (RFC 6749, 5.2).
        return _error(401, "invalid_client", {"WWW-Authenticate": 'Basic realm="biolayer"'})
    texts = chain.from_iterable((name, *values) for name, values in request.POST.lists())
    return _error(400, "invalid_request") if any("\x00" in text for text in texts) else None


def _client_id(request: HttpRequest) -> str | None:
    """Return the client that requests a token (RFC 6749, 2.3.1); None if it cannot be read."""
    scheme, _, pair = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return str(request.POST.get("client_id", ""))
    try:
        name, colon, _ = base64.b64decode(pair.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    # Both parts are form-encoded before they are joined.
    return unquote_plus(name) if colon else None


def _error(status: int, code: str, headers: Mapping[str, str] | None = None) -> HttpResponseBase:
    headers = {"Cache-Control": "no-store", **(headers or {})}
    return JsonResponse({"error": code}, status=status, headers=headers)


def _rate_limited(limit: int, seconds: int) -> HttpResponseBase:
    text = f"At most {limit} calls in {WINDOW_SECONDS} s; a token lasts an hour."
    body = {"error": "rate_limited", "error_description": text}
    headers = {"Retry-After": str(seconds), "Cache-Control": "no-store"}
    return JsonResponse(body, status=429, headers=headers)
