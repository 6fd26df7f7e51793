"""The only outgoing HTTP. One event loop in a thread of its own sends; the drain feeds it.

Each request: no redirects, no proxy from the environment, no cookies, a deadline over everything
from DNS to the last byte, and an address check at the moment the socket is made, on the concrete
address, so that no DNS answer can talk us into the private network.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

import aiohttp

from apps.webhooks.addresses import may_connect

TIMEOUT_SECONDS = 10.0
LOOKUPS = 64
MAX_READ_BYTES = 64 * 1024
KEPT_CHARACTERS = 2_000
KEPT_HEADERS = ("content-type", "retry-after", "server", "location", "date")
USER_AGENT = "BioLayer-Webhooks/1"


class Outcome(StrEnum):
    """What came of an attempt. Only `ok` is a success."""

    OK = "ok"  # any 2xx
    STATUS = "status"  # an answer, but no 2xx; a redirect is not followed
    TIMEOUT = "timeout"
    ADDRESS_DENIED = "address_denied"
    DNS = "dns"
    TLS = "tls"
    CONNECTION = "connection"  # refused, reset, or no HTTP
    INVALID = "invalid"  # a request that cannot be made at all


@dataclass(frozen=True, slots=True)
class Request:
    """One attempt to be made. `token` is the claim that its result must bring back."""

    token: UUID
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """What came of the attempt that was claimed under `token`."""

    token: UUID
    outcome: Outcome
    duration_ms: int
    status_code: int | None = None
    error: str = ""
    response_headers: dict[str, str] = field(default_factory=dict)
    response_excerpt: str = ""


class AddressDenied(OSError):
    """The name leads to an address that we must not call."""


class Sender:
    """Sends requests from its own event loop, and tells each result to whoever sent it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # Names are looked up in threads; the default handful would let one slow resolver's
        # look-ups hold up everybody's.
        self._loop.set_default_executor(ThreadPoolExecutor(LOOKUPS, "lookup"))
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="sender", daemon=True)
        self._thread.start()

    def send(self, request: Request, done: Callable[[Result], None]) -> None:
        """Start an attempt and come back at once. `done` is called from the sender's thread."""
        asyncio.run_coroutine_threadsafe(self._attempt(request, done), self._loop)

    def close(self) -> None:
        """Close all connections and end the thread; attempts under way are dropped."""
        asyncio.run_coroutine_threadsafe(self._close_sessions(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    async def _close_sessions(self) -> None:
        for session in self._sessions.values():
            await session.close()

    async def _attempt(self, request: Request, done: Callable[[Result], None]) -> None:
        began = time.monotonic()
        try:
            told = await self._call(request)
        except Exception as error:
            told = _explained(error)
        duration = int((time.monotonic() - began) * 1000)
        done(Result(request.token, duration_ms=duration, **told))

    async def _call(self, request: Request) -> dict[str, Any]:
        session = self._session(request.url.partition(":")[0].lower())
        # One deadline over DNS, connect, TLS, headers and body; aiohttp's own timeouts have gaps.
        async with (
            asyncio.timeout(TIMEOUT_SECONDS),
            session.post(
                request.url, data=request.body, headers=request.headers, allow_redirects=False
            ) as response,
        ):
            excerpt = await _bounded_text(response)
            return {
                "outcome": Outcome.OK if 200 <= response.status < 300 else Outcome.STATUS,
                "status_code": response.status,
                "response_headers": _kept_headers(response),
                "response_excerpt": excerpt,
            }

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        if scheme not in self._sessions:
            self._sessions[scheme] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    socket_factory=_guarded_by(scheme),
                    limit=0,
                    ttl_dns_cache=0,
                    use_dns_cache=False,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
                trust_env=False,
            )
        return self._sessions[scheme]


def _guarded_by(scheme: str) -> Any:
    def make_socket(address_info: Any) -> socket.socket:
        family, kind, protocol, _, address = address_info
        if not may_connect(address[0], scheme=scheme):
            raise AddressDenied(f"{address[0]} is not a public address")
        made = socket.socket(family=family, type=kind, proto=protocol)
        made.settimeout(0)
        return made

    return make_socket


async def _bounded_text(response: aiohttp.ClientResponse) -> str:
    """The beginning of the answer's body. What exceeds the bound is never read."""
    received = bytearray()
    async for chunk in response.content.iter_chunked(8192):
        received += chunk
        if len(received) >= MAX_READ_BYTES:
            response.close()
            break
    return _storable(bytes(received).decode(errors="replace")[:KEPT_CHARACTERS])


def _kept_headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    return {name: _storable(value[:200]) for name, value in kept.items()}


def _storable(text: str) -> str:
    """What PostgreSQL takes: no NUL, and none of the surrogates that stand for bytes not UTF-8."""
    return text.encode(errors="replace").decode().replace("\x00", "\ufffd")


def _explained(error: Exception) -> dict[str, Any]:
    """The outcome of an attempt that got no answer."""
    return {
        "outcome": _kind(error),
        "error": _storable(f"{type(error).__name__}: {error}"[:500]),
    }


def _kind(error: Exception) -> Outcome:
    if isinstance(error, TimeoutError):
        return Outcome.TIMEOUT
    causes = [error, error.__cause__, getattr(error, "os_error", None)]
    if any(isinstance(cause, AddressDenied) for cause in causes):
        return Outcome.ADDRESS_DENIED
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Outcome.DNS
    if isinstance(error, aiohttp.ClientSSLError):
        return Outcome.TLS
    if isinstance(error, aiohttp.InvalidURL | ValueError | UnicodeError):
        return Outcome.INVALID
    return Outcome.CONNECTION
