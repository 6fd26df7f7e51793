"""Send a file so that no browser runs or shows it within this service's origin."""

import re
from collections.abc import Iterator
from typing import IO, Any

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header
from rest_framework.request import Request

from apps.tasks.filenames import download_filename
from apps.tasks.services import OpenContent
from biolayer.errors import RangeNotSatisfiable

CHUNK_BYTES = 64 * 1024
TEXT = "text/plain"

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "Accept-Ranges": "bytes",
}

# One range (RFC 9110, 14.1.2). Others are ignored, as that section allows.
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)


class _Part:
    """Read a part of a file in chunks, and close the file with the response."""

    def __init__(self, file: IO[Any], first: int, after: int) -> None:
        self._file, self._first, self._after = file, first, after

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._first)
        left = self._after - self._first
        while left > 0 and (chunk := self._file.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self._file.close()


def download(request: Request, content: OpenContent) -> StreamingHttpResponse:
    """Return a response that sends an open file, or the range of it that is asked for.

    The response closes the file. Raise `RangeNotSatisfiable`.
    """
    row = content.row
    etag = f'"{bytes(row.sha256).hex()}"'
    is_part = _asks_for_range(request, etag)
    try:
        first, after = _range(request, row.size) if is_part else (0, row.size)
    except RangeNotSatisfiable:
        content.file.close()
        raise
    # Django's server sends no body in response to HEAD, others may.
    body = _Part(content.file, first, first if request.method == "HEAD" else after)
    headers = {
        **HEADERS,
        "Content-Type": row.content_type + ("; charset=utf-8" if row.content_type == TEXT else ""),
        "Content-Disposition": _disposition(row),
        "Content-Length": str(after - first),
        "ETag": etag,
    }
    if is_part:
        headers["Content-Range"] = f"bytes {first}-{after - 1}/{row.size}"
    return StreamingHttpResponse(body, status=206 if is_part else 200, headers=headers)


def _disposition(row: Any) -> str:
    """Return the header of a file that is to be saved, never shown (RFC 6266)."""
    name = download_filename(row.filename, row.content_type)
    return str(content_disposition_header(as_attachment=True, filename=name))


def _asks_for_range(request: Request, etag: str) -> bool:
    if request.headers.get("If-Range", etag) != etag:
        return False  # It has a part of another file (RFC 9110, 13.1.5).
    match = RANGE.fullmatch(request.headers.get("Range", ""))
    return match is not None and match[1] + match[2] != "" and not _is_reversed(match)


def _is_reversed(match: re.Match[str]) -> bool:
    return bool(match[1] and match[2]) and int(match[2]) < int(match[1])


def _range(request: Request, size: int) -> tuple[int, int]:
    """Return the first byte to send and the one after the last. Raise `RangeNotSatisfiable`."""
    match = RANGE.fullmatch(request.headers["Range"])
    assert match is not None
    if not match[1]:
        first, after = max(0, size - int(match[2])), size
    else:
        first, after = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
    if first >= after:
        raise RangeNotSatisfiable(size)
    return first, after
