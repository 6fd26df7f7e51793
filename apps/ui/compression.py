"""Compress what pages are made of.

Files that `collectstatic` has compressed come with their encoding, and are left as they are. Pages
are compressed only where they show nothing that the request has chosen (the portal): a page that
repeats text of its request beside a secret lets its length tell the secret (BREACH). Django also
masks the token of forms, and adds some random bytes to each compressed page.
"""

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

PAGES = "/portal/"
FILE_TYPES = ("text/css", "text/javascript", "application/javascript", "image/svg+xml")


class CompressionMiddleware(GZipMiddleware):
    """Compress static files and the pages of the portal."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if response.status_code != 200 or not _is_compressible(request.path_info, response):
            return response
        return super().process_response(request, response)


def _is_compressible(path: str, response: HttpResponseBase) -> bool:
    content_type = response.headers.get("Content-Type", "")
    if path.startswith(settings.STATIC_URL):
        return content_type.startswith(FILE_TYPES)
    return path.startswith(PAGES) and content_type.startswith("text/html")
