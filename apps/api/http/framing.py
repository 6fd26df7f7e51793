"""Handle requests without a host, with a chunked body, or with an encoded one."""

from collections.abc import Callable, Iterable
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import orjson
from django.http import HttpRequest
from rest_framework.request import Request

from apps.api.http.headers import header
from biolayer.errors import UnsupportedEncoding

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]

IN_MEMORY_BYTES = 1024 * 1024
CHUNK_BYTES = 64 * 1024


def _problem(status: int, title: str, detail: str) -> bytes:
    """Return the body of a problem for a request that does not reach Django."""
    return orjson.dumps(
        {
            "type": "urn:biolayer:problem:bad_request",
            "title": title,
            "status": status,
            "detail": detail,
            "code": "bad_request",
        }
    )


def _headers(body: bytes) -> list[tuple[str, str]]:
    return [("Content-Type", "application/problem+json"), ("Content-Length", str(len(body)))]


NO_HOST = _problem(
    400,
    "The request cannot be understood",
    "An HTTP/1.1 request must name its host (RFC 9112, 3.2).",
)
NO_CODING = _problem(
    501,
    "The transfer coding is not implemented",
    "Send the body with a length, or with `Transfer-Encoding: chunked` alone (RFC 9112, 6.1).",
)


def accept_chunked_bodies(application: Application, *, limit: int) -> Application:
    """Give a WSGI application the length of chunked bodies (RFC 9112, 7.1).

    Django reads as many bytes as `Content-Length` states, so a chunked body would be empty. Of a
    body of more than `limit` bytes, `limit` + 1 bytes are read, and the application refuses it by
    its length.
    """

    def wrapped(environ: Environ, start_response: Any) -> Iterable[bytes]:
        coding = environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower()
        if not coding:
            return application(environ, start_response)
        if coding != "chunked":
            start_response("501 Not Implemented", _headers(NO_CODING))
            return [NO_CODING]
        with SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as body:
            length = _copy(environ["wsgi.input"], body, limit + 1)
            complete = {"wsgi.input": body, "CONTENT_LENGTH": str(length)}
            return application(environ | complete, start_response)

    return wrapped


def _copy(source: Any, target: IO[bytes], limit: int) -> int:
    """Copy at most `limit` bytes. Return how many were copied."""
    length = 0
    while length < limit and (chunk := source.read(min(CHUNK_BYTES, limit - length))):
        target.write(chunk)
        length += len(chunk)
    target.seek(0)
    return length


def require_host(application: Application) -> Application:
    """Refuse HTTP/1.1 requests without a host: Django would assume the name of the server."""

    def wrapped(environ: Environ, start_response: Any) -> Iterable[bytes]:
        if environ.get("SERVER_PROTOCOL") == "HTTP/1.1" and not environ.get("HTTP_HOST"):
            start_response("400 Bad Request", _headers(NO_HOST))
            return [NO_HOST]
        return application(environ, start_response)

    return wrapped


def require_host_asgi(application: Any) -> Any:
    """Do the same as `require_host` for an ASGI application."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope.get("http_version") != "1.1" or _has_host(scope):
            await application(scope, receive, send)
            return
        headers = [(name.lower().encode(), value.encode()) for name, value in _headers(NO_HOST)]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": NO_HOST})

    return wrapped


def _has_host(scope: Any) -> bool:
    return any(name == b"host" and value for name, value in scope["headers"])


def check_encoding(request: HttpRequest | Request) -> None:
    """Raise `UnsupportedEncoding` for a body with a `Content-Encoding` (RFC 9110, 8.4)."""
    encoding = (header(request, "Content-Encoding") or "").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedEncoding("Send the body as it is, without a Content-Encoding.")
