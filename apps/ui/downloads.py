"""Send a file to be saved: no browser shows or runs it within this origin."""

from typing import Any

from django.http import FileResponse, HttpResponse

from apps.tasks.filenames import download_filename
from apps.tasks.services import OpenContent

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
}


def file_response(content: OpenContent) -> HttpResponse:
    """Return a response that sends an open file, and closes it."""
    row = content.row
    response: Any = FileResponse(
        content.file,
        as_attachment=True,
        filename=download_filename(row.filename, row.content_type),
        content_type=row.content_type,
        headers=HEADERS,
    )
    sent: HttpResponse = response
    return sent
