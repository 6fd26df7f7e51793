"""Read one header of a request."""

from django.http import HttpRequest
from rest_framework.request import Request


def header(request: HttpRequest | Request, name: str) -> str | None:
    """Return a header of the request; None without it.

    `request.headers` converts all headers of the request first, on every call.
    """
    text: str | None = request.META.get("HTTP_" + name.upper().replace("-", "_"))
    return text
