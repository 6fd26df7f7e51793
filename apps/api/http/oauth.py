"""Serve `/oauth/token` and `/oauth/revoke`, with limits per address and per client."""

import base64
from collections.abc import Mapping
from itertools import chain
from urllib.parse import unquote_plus

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views import View
from oauth2_provider.views.base import RevokeTokenView, TokenView

from apps.accounts.selectors import networks_of_client
from apps.api.http.framing import check_encoding
from apps.api.http.problems import problem_response
from apps.api.http.rate_limits import Bucket, take
from apps.base.addresses import client_address, is_allowed, owner_of
from biolayer.errors import UnsupportedEncoding

# Per minute. A token lasts an hour, so a client needs few.
CALLS_PER_ADDRESS = 60
CALLS_PER_CLIENT = 120


class _Throttled(View):
    """Count the calls of a view of Django OAuth Toolkit, and refuse what it cannot read."""

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        try:
            check_encoding(request)
        except UnsupportedEncoding as error:
            return problem_response(request, error)
        refusal = _limit_exceeded(request) or _unreadable(request) or _not_allowed(request)
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
    owner = owner_of(client_address(request))
    buckets = [_bucket("address", owner, CALLS_PER_ADDRESS)]
    client = _client_id(request)
    if client:
        buckets.append(_bucket("client", client[:100], CALLS_PER_CLIENT))
    verdict = take(buckets)
    if verdict.is_allowed:
        return None
    return _rate_limited(verdict.exhausted[0].bucket.per_minute, verdict.retry_after)


def _bucket(policy: str, name: str, per_minute: int) -> Bucket:
    # The braces let a Redis cluster keep all of them in one place.
    return Bucket(policy, f"biolayer:rate:{{token}}:{policy}:{name}", per_minute, per_minute)


def _not_allowed(request: HttpRequest) -> HttpResponseBase | None:
    """Return the refusal of a client that calls from outside of its organisation's networks.

    It is that of a wrong secret, so that it does not reveal whether there is such a client.
    """
    networks = networks_of_client(client_id=_client_id(request) or "")
    if is_allowed(client_address(request), networks):
        return None
    return _error(401, "invalid_client", {"WWW-Authenticate": 'Basic realm="biolayer"'})


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
    text = f"At most {limit} calls in a minute; a token lasts an hour."
    body = {"error": "rate_limited", "error_description": text}
    headers = {"Retry-After": str(seconds), "Cache-Control": "no-store"}
    return JsonResponse(body, status=429, headers=headers)
