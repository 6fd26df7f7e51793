"""Identify each request by an id, which its response, its errors and the log contain."""

import re
import uuid

from django.http import HttpRequest

from apps.api.http.headers import header

HEADER = "X-Request-ID"
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
ATTRIBUTE = "biolayer_request_id"


def request_id_of(request: HttpRequest) -> str:
    """Return the request's id: its `X-Request-ID` if that matches `SAFE_ID`, else a new one."""
    request_id: str | None = getattr(request, ATTRIBUTE, None)
    if request_id is None:
        requested = header(request, HEADER) or ""
        request_id = requested if SAFE_ID.fullmatch(requested) else f"req_{uuid.uuid4().hex}"
        setattr(request, ATTRIBUTE, request_id)
    return request_id
