"""HTTP/1.1 on one connection: a request, its answer, and whether another may follow.

llhttp reads the answers (the parser of Node.js, through `httptools`). This module holds what a client
decides besides: how much it reads, where an answer without a length ends, and when a connection is
good for another request. See docs/adr/0011.
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

from apps.webhooks.addresses import NUMERIC_HOST
from apps.webhooks.answers import READ_BYTES
from apps.webhooks.progress import Progress

HEAD_BYTES = 64 * 1024
"""An answer's head, the informational answers before it included, is no longer than that."""

INFORMATIONAL_TAKEN = 16
SWITCHING_PROTOCOLS = 101
AUTHORITY_END = re.compile("[/?]")
NOT_IN_A_URI = re.compile(r"[^!$&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~%]")
DEFAULT_PORTS = {"http": 80, "https": 443}
USER_AGENT = "BioLayer-Webhooks/1"


class BadAnswer(Exception):
    """What came is no answer as we take it."""


class Disconnected(Exception):
    """The connection ended before the answer did."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a URL calls, and how the request begins."""

    scheme: str
    host: str
    port: int
    # Its address, if the host is one and no name.
    literals: tuple[AddrInfoType, ...]
    beginning: str

    @property
    def is_secure(self) -> bool:
        return self.scheme == "https"

    @classmethod
    @lru_cache(maxsize=4096)
    def of(cls, url: str) -> "Target":
        """Raises `ValueError` for a URL that cannot be called."""
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
        return cls(parsed.scheme, host, port, _literals(host, port), "\r\n".join(lines))

    def head(self, headers: Mapping[str, str], length: int) -> bytes:
        """The request's head. Raises `ValueError` for headers that would break out of their line."""
        own = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if own.count("\n") != len(headers) or own.count("\r") != len(headers) or "\x00" in own:
            raise ValueError("a header holds a line break or a NUL")
        return f"{self.beginning}{own}Content-Length: {length}\r\n\r\n".encode()


class Wire(asyncio.Protocol):
    """A connection: one exchange at a time."""

    _transport: asyncio.Transport
    _ended: asyncio.Future[None]
    _progress: Progress

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._status = 0
        self._head_bytes = 0
        self._informational = 0
        self._is_asking = False
        self.is_reusable = True
        self.peer = ""
        self.idle_since = 0.0

    async def exchange(self, head: bytes, body: bytes, progress: Progress) -> None:
        """Send a request and take its answer into `progress`.

        Raises `Disconnected` or `BadAnswer`. Whatever else than a whole answer ends it, the
        connection is closed then: what was not read is not waited for.
        """
        if not self.is_reusable:
            raise Disconnected("the connection was closed")
        self._ended = asyncio.get_running_loop().create_future()
        self._progress = progress
        self._head_bytes = self._informational = 0
        self._is_asking = True
        self._transport.writelines((head, body))
        try:
            await self._ended
        finally:
            self._is_asking = False
            if not progress.is_whole:
                progress.is_sent = not self._transport.get_write_buffer_size()
                self.is_reusable = False
            if not self.is_reusable:
                self._transport.abort()

    def close(self) -> None:
        self.is_reusable = False
        self._transport.close()

    # --- what asyncio tells -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.peer = _peer(transport)

    def data_received(self, data: bytes) -> None:
        try:
            while data and not self._is_over:
                room = READ_BYTES if self._has_head else HEAD_BYTES - self._head_bytes
                piece, data = data[:room], data[room:]
                self._parser.feed_data(piece)
                self._check_head(len(piece))
        except (HttpParserError, HttpParserUpgrade) as error:
            self._settle(BadAnswer(str(error)))
        if data:
            # More than was asked for: the next request would be given it for its answer.
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_reusable = False
        if not self._is_asking:
            return
        if not self._has_head:
            self._settle(_disconnected("the connection ended before the answer's head", exc))
        elif exc is None and not _is_delimited(self._progress.headers):
            self._finish()
        else:
            self._settle(_disconnected("the connection ended within the answer's body", exc))

    # --- what the parser tells --------------------------------------------------------------------

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
            self._informational += 1
            return
        progress = self._progress
        progress.answered = monotonic()
        progress.status_code = self._status
        progress.headers = {_text(name).lower(): _text(value) for name, value in self._headers}
        self.is_reusable = self._parser.should_keep_alive()
        if self._status == SWITCHING_PROTOCOLS:
            self.is_reusable = False
            self._finish()

    def on_body(self, body: bytes) -> None:
        if self._is_over:
            return
        received = self._progress.received
        received += body
        if len(received) > READ_BYTES:
            del received[READ_BYTES:]
            self._settle(None)

    def on_message_complete(self) -> None:
        if not self._is_informational:
            self._finish()

    @property
    def _is_informational(self) -> bool:
        return 100 <= self._status < 200 and self._status != SWITCHING_PROTOCOLS

    @property
    def _has_head(self) -> bool:
        return self._progress.answered is not None

    def _check_head(self, read: int) -> None:
        if self._has_head:
            return
        self._head_bytes += read
        if self._head_bytes >= HEAD_BYTES:
            self._settle(BadAnswer("its head is too long"))
        elif self._informational > INFORMATIONAL_TAKEN:
            self._settle(BadAnswer("too many informational answers"))

    # --- how an exchange ends ---------------------------------------------------------------------

    @property
    def _is_over(self) -> bool:
        return not self._is_asking or self._ended.done()

    def _finish(self) -> None:
        if not self._is_over:
            self._progress.is_whole = True
            self._settle(None)

    def _settle(self, error: Exception | None) -> None:
        if self._is_over:
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)


def _request_target(url: str) -> str:
    """Return the path and the query as they were registered (RFC 9112, 3.2.1), without the fragment.

    Only what may not stand in a URI is percent-encoded (RFC 3986, 2): a receiver may sign or compare bytes.
    """
    after_scheme = url.split("#", 1)[0].partition("://")[2]
    start = AUTHORITY_END.search(after_scheme)
    target = "" if start is None else after_scheme[start.start() :]
    if not target.startswith("/"):
        target = "/" + target
    return NOT_IN_A_URI.sub(lambda found: quote(found[0], safe=""), target)


def _literals(host: str, port: int) -> tuple[AddrInfoType, ...]:
    if ":" in host or NUMERIC_HOST.fullmatch(host):
        ip_address(host)
        return tuple(addr_to_addr_infos((host, port)) or ())
    return ()


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _disconnected(words: str, cause: Exception | None) -> Disconnected:
    """With what the network says of it, if it says anything."""
    reason = cause.strerror if isinstance(cause, OSError) else None
    return Disconnected(f"{words}: {reason}" if reason else words)


def _is_delimited(headers: Mapping[str, str]) -> bool:
    """Whether the answer says where its body ends. Otherwise that is where the connection does."""
    return "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()


def _peer(transport: asyncio.BaseTransport) -> str:
    address = transport.get_extra_info("peername")
    if not address:
        return ""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
