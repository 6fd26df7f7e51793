"""Each request has an id, which its answer, its errors and the log repeat."""

import re
import uuid

from django.http import HttpRequest

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
