"""`/oauth/token` and `/oauth/revoke`, throttled: an address, and a client, may ask for so many tokens a minute."""

import base64
import binascii

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views import View
from oauth2_provider.views.base import RevokeTokenView, TokenView

from apps.api.http.authentication import client_address
from apps.api.http.throttling import WINDOW_SECONDS, count_call

CALLS_OF_AN_ADDRESS = 60
CALLS_OF_A_CLIENT = 120
"""In a minute. A token lasts an hour, so that nobody needs many."""


class _Throttled(View):
    """Two counters before a view of DOT's. Without Redis everything passes, as elsewhere."""

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        limits = {f"token-address:{client_address(request)}": CALLS_OF_AN_ADDRESS}
        client = _client_id(request)
        if client:
            limits[f"token-client:{client}"] = CALLS_OF_A_CLIENT
        for name, limit in limits.items():
            counted = count_call(name)
            if counted is not None and counted.used > limit:
                return _refused(limit, counted.reset_in)
        return super().dispatch(request, *args, **kwargs)


class ThrottledTokenView(_Throttled, TokenView):
    pass


class ThrottledRevokeTokenView(_Throttled, RevokeTokenView):
    pass


def _client_id(request: HttpRequest) -> str:
    """The client that a token is asked for, as the request has it (RFC 6749, 2.3.1)."""
    scheme, _, pair = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return request.POST.get("client_id", "")[:100]
    try:
        return base64.b64decode(pair).decode(errors="replace").partition(":")[0][:100]
    except (binascii.Error, ValueError):
        return ""


def _refused(limit: int, seconds: int) -> HttpResponseBase:
    text = f"At most {limit} calls in {WINDOW_SECONDS} s; a token lasts an hour."
    body = {"error": "rate_limited", "error_description": text}
    headers = {"Retry-After": str(seconds), "Cache-Control": "no-store"}
    return JsonResponse(body, status=429, headers=headers)
