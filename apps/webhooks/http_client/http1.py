"""Speak HTTP/1.1 on one connection: a request, its response, and whether another may follow.

llhttp parses the responses (the parser of Node.js, through `httptools`). This module holds what a
client decides besides: how much it reads, where a response without a length ends, and when a
connection can be used for another request. See docs/adr/0011.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from time import monotonic
from typing import cast
from urllib.parse import quote

from aiohappyeyeballs import AddrInfoType, addr_to_addr_infos
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from yarl import URL

from apps.webhooks.http_client.addresses import NUMERIC_HOST
from apps.webhooks.http_client.attempt_trace import AttemptTrace
from apps.webhooks.http_client.response import MAX_BODY_BYTES

# Of a response's head, including the informational responses before it.
MAX_HEAD_BYTES = 64 * 1024

MAX_INFORMATIONAL = 16
SWITCHING_PROTOCOLS = 101
AUTHORITY_END = re.compile("[/?]")
NOT_IN_A_URI = re.compile(r"[^!$&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~%]")
DEFAULT_PORTS = {"http": 80, "https": 443}
USER_AGENT = "BioLayer-Webhooks/1"


class BadResponse(Exception):
    """The bytes received are not a response that we accept."""


class Disconnected(Exception):
    """The connection ended before the response did."""


@dataclass(frozen=True, slots=True)
class Target:
    """Describe which server a URL calls, and how the request's head begins."""

    scheme: str
    host: str
    port: int
    # The addresses of a host that is an address; empty for a name.
    literal_addresses: tuple[AddrInfoType, ...]
    head_prefix: str

    @property
    def is_secure(self) -> bool:
        return self.scheme == "https"

    @classmethod
    @lru_cache(maxsize=4096)
    def of(cls, url: str) -> "Target":
        """Return the target of a URL. Raise `ValueError` for one that cannot be called."""
        parsed = URL(url)
        host, port = parsed.raw_host, parsed.port
        if parsed.scheme not in DEFAULT_PORTS:
            raise ValueError("the URL begins with neither http:// nor https://")
        if not host or not port:
            raise ValueError("the URL has no host")
        host = host.rstrip(".")
        lines = [
            f"POST {_request_target(url)} HTTP/1.1",
            f"Host: {parsed.host_port_subcomponent}",
            f"User-Agent: {USER_AGENT}",
            "Accept: */*",
            "Accept-Encoding: identity",
            "",
        ]
        return cls(parsed.scheme, host, port, _literal_addresses(host, port), "\r\n".join(lines))

    def head(self, headers: Mapping[str, str], length: int) -> bytes:
        """Return the request's head. Raise `ValueError` for headers with a line break or a NUL."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if (
            lines.count("\n") != len(headers)
            or lines.count("\r") != len(headers)
            or "\x00" in lines
        ):
            raise ValueError("a header contains a line break or a NUL")
        return f"{self.head_prefix}{lines}Content-Length: {length}\r\n\r\n".encode()


class Http1Connection(asyncio.Protocol):
    """Run one exchange at a time on one connection."""

    _transport: asyncio.Transport
    _response_ended: asyncio.Future[None]
    _trace: AttemptTrace

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._status = 0
        self._head_bytes = 0
        self._informational_count = 0
        self._is_busy = False
        self.is_reusable = True
        self.peer = ""
        self.idle_since = 0.0

    async def exchange(self, head: bytes, body: bytes, trace: AttemptTrace) -> None:
        """Send a request and write its response into `trace`.

        Raise `Disconnected` or `BadResponse`. When it ends by anything but a complete response, the
        connection is closed: the rest is not awaited.
        """
        if not self.is_reusable:
            raise Disconnected("the connection was closed")
        self._response_ended = asyncio.get_running_loop().create_future()
        self._trace = trace
        self._head_bytes = self._informational_count = 0
        self._is_busy = True
        self._transport.writelines((head, body))
        try:
            await self._response_ended
        finally:
            self._is_busy = False
            if not trace.is_complete:
                trace.is_request_sent = not self._transport.get_write_buffer_size()
                self.is_reusable = False
            if not self.is_reusable:
                self._transport.abort()

    def close(self) -> None:
        self.is_reusable = False
        self._transport.close()

    # --- asyncio's callbacks ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.peer = _peer(transport)

    def data_received(self, data: bytes) -> None:
        try:
            while data and not self._is_over:
                limit = MAX_BODY_BYTES if self._has_head else MAX_HEAD_BYTES - self._head_bytes
                chunk, data = data[:limit], data[limit:]
                self._parser.feed_data(chunk)
                self._check_head(len(chunk))
        except (HttpParserError, HttpParserUpgrade) as error:
            self._end(BadResponse(str(error)))
        if data:
            # More than was requested: the next request would read it as its own response.
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_reusable = False
        if not self._is_busy:
            return
        if not self._has_head:
            self._end(_disconnected("the connection ended before the response's head", exc))
        elif exc is None and not _has_length(self._trace.headers):
            self._complete()
        else:
            self._end(_disconnected("the connection ended within the response's body", exc))

    # --- the parser's callbacks -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._headers = []
        if self._is_over:
            self.is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._is_over:
            return
        if self._is_informational:
            self._informational_count += 1
            return
        trace = self._trace
        trace.head_received_at = monotonic()
        trace.status_code = self._status
        trace.headers = {_text(name).lower(): _text(value) for name, value in self._headers}
        self.is_reusable = self._parser.should_keep_alive()
        if self._status == SWITCHING_PROTOCOLS:
            self.is_reusable = False
            self._complete()

    def on_body(self, body: bytes) -> None:
        if self._is_over:
            return
        received = self._trace.body
        received += body
        if len(received) > MAX_BODY_BYTES:
            del received[MAX_BODY_BYTES:]
            self._end(None)

    def on_message_complete(self) -> None:
        if not self._is_informational:
            self._complete()

    @property
    def _is_informational(self) -> bool:
        return 100 <= self._status < 200 and self._status != SWITCHING_PROTOCOLS

    @property
    def _has_head(self) -> bool:
        return self._trace.head_received_at is not None

    def _check_head(self, read_bytes: int) -> None:
        if self._has_head:
            return
        self._head_bytes += read_bytes
        if self._head_bytes >= MAX_HEAD_BYTES:
            self._end(BadResponse("its head is too long"))
        elif self._informational_count > MAX_INFORMATIONAL:
            self._end(BadResponse("too many informational responses"))

    # --- the end of an exchange -------------------------------------------------------------------

    @property
    def _is_over(self) -> bool:
        return not self._is_busy or self._response_ended.done()

    def _complete(self) -> None:
        if not self._is_over:
            self._trace.is_complete = True
            self._end(None)

    def _end(self, error: Exception | None) -> None:
        if self._is_over:
            return
        if error is None:
            self._response_ended.set_result(None)
        else:
            self._response_ended.set_exception(error)


def _request_target(url: str) -> str:
    """Return path and query as they were registered (RFC 9112, 3.2.1), without the fragment.

    Only characters that a URI may not contain are percent-encoded (RFC 3986, 2): a receiver may
    sign or compare bytes.
    """
    after_scheme = url.split("#", 1)[0].partition("://")[2]
    start = AUTHORITY_END.search(after_scheme)
    target = "" if start is None else after_scheme[start.start() :]
    if not target.startswith("/"):
        target = "/" + target
    return NOT_IN_A_URI.sub(lambda match: quote(match[0], safe=""), target)


def _literal_addresses(host: str, port: int) -> tuple[AddrInfoType, ...]:
    if ":" in host or NUMERIC_HOST.fullmatch(host):
        ip_address(host)
        return tuple(addr_to_addr_infos((host, port)) or ())
    return ()


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _disconnected(message: str, cause: Exception | None) -> Disconnected:
    """Return the error with the network's own reason, if there is one."""
    reason = cause.strerror if isinstance(cause, OSError) else None
    return Disconnected(f"{message}: {reason}" if reason else message)


def _has_length(headers: Mapping[str, str]) -> bool:
    """Return whether the response states where its body ends.

    Otherwise the body ends with the connection.
    """
    return "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()


def _peer(transport: asyncio.BaseTransport) -> str:
    address = transport.get_extra_info("peername")
    if not address:
        return ""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
