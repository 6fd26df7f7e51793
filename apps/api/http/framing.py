"""Requests as they come over the wire: without a host, or with a body without a length, or encoded."""

from collections.abc import Callable, Iterable
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import orjson
from django.http import HttpRequest
from rest_framework.request import Request

from biolayer.errors import UnsupportedEncoding

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]

IN_MEMORY_BYTES = 1024 * 1024
PIECE_BYTES = 64 * 1024


def _problem(status: int, title: str, detail: str) -> bytes:
    """Return the body of a problem that is told before Django sees the request."""
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
    "A request by HTTP/1.1 names its host (RFC 9112, 3.2).",
)
NO_CODING = _problem(
    501,
    "The transfer coding is not implemented",
    "Send the body with a length, or with `Transfer-Encoding: chunked` alone (RFC 9112, 6.1).",
)


def with_chunked_bodies(application: Application, *, limit: int) -> Application:
    """Let a WSGI application see the length of bodies that come in chunks (RFC 9112, 7.1).

    Django reads as much as `Content-Length` says, so that a chunked body would be empty. Of a body of
    more than `limit` bytes, one byte more than that is read: the application refuses it by its length.
    """

    def answer(environ: Environ, start_response: Any) -> Iterable[bytes]:
        coding = environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower()
        if not coding:
            return application(environ, start_response)
        if coding != "chunked":
            start_response("501 Not Implemented", _headers(NO_CODING))
            return [NO_CODING]
        with SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as body:
            length = _copy(environ["wsgi.input"], body, limit + 1)
            whole = {"wsgi.input": body, "CONTENT_LENGTH": str(length)}
            return application(environ | whole, start_response)

    return answer


def _copy(source: Any, target: IO[bytes], limit: int) -> int:
    """Copy at most `limit` bytes, and return how many."""
    length = 0
    while length < limit and (piece := source.read(min(PIECE_BYTES, limit - length))):
        target.write(piece)
        length += len(piece)
    target.seek(0)
    return length


def with_hosts(application: Application) -> Application:
    """Refuse what names no host by HTTP/1.1, which Django would take for the server's own."""

    def answer(environ: Environ, start_response: Any) -> Iterable[bytes]:
        if environ.get("SERVER_PROTOCOL") == "HTTP/1.1" and not environ.get("HTTP_HOST"):
            start_response("400 Bad Request", _headers(NO_HOST))
            return [NO_HOST]
        return application(environ, start_response)

    return answer


def with_hosts_by_asgi(application: Any) -> Any:
    """The same for an ASGI application."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope.get("http_version") != "1.1" or _has_host(scope):
            await application(scope, receive, send)
            return
        headers = [(name.lower().encode(), value.encode()) for name, value in _headers(NO_HOST)]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": NO_HOST})

    return answer


def _has_host(scope: Any) -> bool:
    return any(name == b"host" and value for name, value in scope["headers"])


def refuse_encoded(request: HttpRequest | Request) -> None:
    """Raise `UnsupportedEncoding` for a body that is compressed, or said to be (RFC 9110, 8.4)."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedEncoding("Send the body as it is, without a Content-Encoding.")
