"""Know where the stream is for a page, and where the page is for the stream.

Behind a proxy both have one origin. On one machine (`make run`) the stream has a port of its own:
cookies ignore ports, and nothing else does.
"""

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port


def stream_origin(request: HttpRequest) -> str:
    """Return the origin of the stream as seen from a page; empty where it is the page's own."""
    return _with_port(request, settings.STREAM_PORT) if settings.STREAM_PORT else ""


def page_origin(request: HttpRequest) -> str:
    """Return the only origin whose pages may read the stream; empty where it is the stream's own"""
    return _with_port(request, settings.PORT) if settings.STREAM_PORT else ""


def _with_port(request: HttpRequest, port: int) -> str:
    domain, _ = split_domain_port(request.get_host())
    return f"{request.scheme}://{domain}:{port}"
