"""Open the streams of pages in the ASGI process: from which origin, and with which headers."""

from collections.abc import Awaitable, Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from apps.accounts.sessions import stored_key
from apps.ui.stream_address import page_origin

Response = HttpResponse | StreamingHttpResponse


async def open_stream(
    request: HttpRequest, answer: Callable[[HttpRequest], Awaitable[Response]]
) -> Response:
    """Return what `answer` returns, for a GET from the origin of the pages; else 405 or 403."""
    origin = request.headers.get("Origin")
    if request.method != "GET" or origin not in (None, page_origin(request)):
        return HttpResponse(status=405 if request.method != "GET" else 403)
    response = await answer(request)
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    response["Vary"] = "Cookie, Origin"
    if origin is not None:
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Allow-Credentials"] = "true"
    return response


def session_key_of(request: HttpRequest) -> str:
    """Return under which key the session of the cookie is stored; empty without one."""
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    return stored_key(key) if key else ""
