"""Let the pages of listed origins call `/v1` with a key (Fetch Standard, 3.2).

Credentials are never allowed, so a browser sends no cookie. The middleware runs only where
`BIOLAYER_CORS_ORIGINS` lists an origin.
"""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse

PATHS = "/v1/"
METHODS = "GET, POST, PUT, PATCH, DELETE"
EXPOSED = "Idempotency-Replayed, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
PREFLIGHT_SECONDS = 600


class CorsMiddleware:
    """Answer preflights, and name the origin in responses. Run for WSGI and ASGI."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._call_async(request)
        preflight = _preflight_response(request)
        return _allow(request, preflight or self._get_response(request))

    async def _call_async(self, request: HttpRequest) -> HttpResponse:
        preflight = _preflight_response(request)
        return _allow(request, preflight or await self._get_response(request))


def _preflight_response(request: HttpRequest) -> HttpResponse | None:
    """Return the answer to a preflight; None for another request."""
    is_preflight = (
        request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META
    )
    if not is_preflight or not request.path_info.startswith(PATHS):
        return None
    response = HttpResponse(status=204)
    if request.META.get("HTTP_ORIGIN") in settings.CORS_ORIGINS:
        response["Access-Control-Allow-Methods"] = METHODS
        response["Access-Control-Allow-Headers"] = ", ".join(settings.CORS_HEADERS)
        response["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    return response


def _allow(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    if not request.path_info.startswith(PATHS):
        return response
    origin = request.META.get("HTTP_ORIGIN", "")
    response["Vary"] = ", ".join(filter(None, [response.get("Vary"), "Origin"]))
    if origin in settings.CORS_ORIGINS:
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = EXPOSED
    return response
