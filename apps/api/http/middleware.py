"""The outermost layer: each request gets an id, which every answer and error repeats."""

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
ATTRIBUTE = "biolayer_request_id"


def request_id_of(request: HttpRequest) -> str:
    """The request's id; one that the caller sent in `X-Request-ID` is kept if it is harmless."""
    known: str | None = getattr(request, ATTRIBUTE, None)
    if known is None:
        sent = request.headers.get(HEADER, "")
        known = sent if SAFE_ID.fullmatch(sent) else f"req_{uuid.uuid4().hex}"
        setattr(request, ATTRIBUTE, known)
    return known


class RequestMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request_id_of(request)
        response = self._get_response(request)
        response[HEADER] = request_id
        if not response.streaming:
            response["Content-Length"] = str(len(response.content))
        return response
