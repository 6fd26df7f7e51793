"""Connections to receivers: whom we may reach, how names are looked up, and what is kept open.

An attempt carries its `Progress` in a context variable; the places where aiohttp lets us stand
(resolver, socket factory, TLS context, response class) note there how far it came. A reused
connection passes only the last of them.
"""

import asyncio
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from uuid import UUID

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from django.conf import settings

from apps.webhooks.addresses import may_connect
from apps.webhooks.names import Names

POOLS_KEPT = 1_000
POOL_IDLE_SECONDS = 60.0
CONNECTION_IDLE_SECONDS = 15.0
INFORMATIONAL_TAKEN = 16
USER_AGENT = "BioLayer-Webhooks/1"

Key = tuple[UUID, str]
"""A pool and its scheme, which decides what the pool may reach."""


class AddressDenied(OSError):
    """The URL leads to an address that we must not call."""


@dataclass(slots=True)
class Progress:
    """How far an attempt has come: the moment (`time.monotonic`) of each step, None if not reached.

    Of a reused connection only `connected` and what follows it.
    """

    began: float
    resolving: float | None = None
    resolved: float | None = None
    connecting: float | None = None
    securing: float | None = None
    connected: float | None = None
    answered: float | None = None
    peer: str = ""
    is_sent: bool = True

    @property
    def is_reused(self) -> bool:
        return self.connected is not None and self.connecting is None

    @property
    def phase(self) -> str:
        """The step that is under way: dns, connect, tls, request, headers or body; empty before."""
        if self.answered is not None:
            return "body"
        if self.connected is not None:
            return "headers" if self.is_sent else "request"
        if self.securing is not None:
            return "tls"
        if self.connecting is not None or self.resolved is not None:
            return "connect"
        return "dns" if self.resolving is not None else ""

    def starts_over(self) -> None:
        """Another connection is tried; the attempt's clock runs on."""
        self.resolving = self.resolved = self.connecting = None
        self.securing = self.connected = self.answered = None
        self.peer, self.is_sent = "", True

    def dns_ms(self) -> int | None:
        return _span(self.resolving, self.resolved)

    def connect_ms(self) -> int | None:
        return _span(self.connecting, self.securing or self.connected)

    def tls_ms(self) -> int | None:
        return _span(self.securing, self.connected)

    def first_byte_ms(self) -> int | None:
        return _span(self.began, self.answered)


def _span(start: float | None, end: float | None) -> int | None:
    return None if start is None or end is None else round((end - start) * 1000)


PROGRESS: ContextVar[Progress] = ContextVar("progress")


class Resolver(AbstractResolver):
    """The addresses of a name that a scheme may reach."""

    def __init__(self, names: Names, scheme: str) -> None:
        self._names = names
        self._scheme = scheme

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The socket's guard checks the addresses once more; those that it would refuse are left
        out here already, so that they neither delay the others nor hide what became of them.
        """
        progress = PROGRESS.get()
        progress.resolving = time.monotonic()
        found = await self._names.addresses(host, port, family)
        progress.resolved = time.monotonic()
        allowed = [one for one in found if may_connect(one["host"], scheme=self._scheme)]
        if not allowed:
            addresses = ", ".join(one["host"] for one in found[:4])
            raise AddressDenied(f"{host} leads to {addresses}: no address that may be called")
        return allowed

    async def close(self) -> None:
        """Its names are closed by whoever opened them."""


class SecureContext(ssl.SSLContext):
    """Notes when TCP is through: asyncio then asks the context for the handshake's object."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        PROGRESS.get().securing = time.monotonic()
        return super().wrap_bio(*args, **kwargs)


def secure_context(authorities: str = "") -> ssl.SSLContext:
    """What `ssl.create_default_context` makes; `authorities` (PEM) are believed besides."""
    context = SecureContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if authorities:
        context.load_verify_locations(cadata=authorities)
    context.set_alpn_protocols(["http/1.1"])
    return context


def guarded_by(scheme: str) -> aiohttp.SocketFactoryType:
    """A factory of sockets for no other than allowed addresses: the last and only sure check, since
    it sees the concrete address that the socket then connects to.
    """

    def make_socket(address_info: Any) -> socket.socket:
        family, kind, protocol, _, address = address_info
        if not may_connect(address[0], scheme=scheme):
            raise AddressDenied(f"{address[0]} is no address that may be called")
        progress = PROGRESS.get()
        progress.connecting = progress.connecting or time.monotonic()
        return socket.socket(family=family, type=kind, proto=protocol)

    return make_socket


class Receiving(ResponseHandler):
    """Ends a connection that sends informational answers (1xx) without end: aiohttp passes over them
    for as long as they come, and a few such receivers would take up the whole loop.
    """

    _informational = 0

    def set_response_params(self, **params: Any) -> None:
        self._informational = 0
        super().set_response_params(**params)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        if 100 <= data[0].code < 200:
            self._informational += 1
            if self._informational > INFORMATIONAL_TAKEN:
                self._refuse()
                return
        super().feed_data(data, size)

    def _refuse(self) -> None:
        if self.exception() is None:
            self.set_exception(HttpProcessingError(message="too many informational answers"))
        if self.transport is not None:
            self.transport.close()


class Connector(aiohttp.TCPConnector):
    """No limit: how many connections there are is the caller's affair."""

    def __init__(
        self,
        *,
        resolver: AbstractResolver,
        guard: aiohttp.SocketFactoryType,
        context: ssl.SSLContext,
    ) -> None:
        super().__init__(
            resolver=resolver,
            socket_factory=guard,
            ssl=context,
            limit=0,
            use_dns_cache=False,
            keepalive_timeout=CONNECTION_IDLE_SECONDS,
        )
        # There is no argument for it.
        self._factory = cast("partial[ResponseHandler]", partial(Receiving, loop=self._loop))


class Answer(aiohttp.ClientResponse):
    """Notes the connection on which the answer comes, and when its head is there."""

    async def start(self, connection: Any) -> "Answer":
        progress = PROGRESS.get()
        progress.connected = time.monotonic()
        progress.peer = _peer(connection.transport)
        self._answering = connection.protocol
        try:
            await super().start(connection)
        except BaseException:
            progress.is_sent = self._writer is None
            raise
        progress.answered = time.monotonic()
        return self

    @property
    def was_reset(self) -> bool:
        """Whether the connection broke. An answer that ends with its connection looks whole even
        when that was reset; of any other the connection may be somebody else's by now.
        """
        is_delimited = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
        if is_delimited or self.status in {204, 304}:
            return False
        return isinstance(self._answering.exception(), aiohttp.ClientOSError)


def _peer(transport: asyncio.BaseTransport | None) -> str:
    address = transport.get_extra_info("peername") if transport else None
    if not address:
        return ""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(slots=True)
class Pool:
    """The open connections of one pool, and how many attempts use it."""

    session: aiohttp.ClientSession
    users: int = 0
    idle_since: float = 0.0


class Connections:
    """A pool of connections for each who asks. Idle ones are closed; all belong to one loop."""

    def __init__(self, authorities: str = "") -> None:
        self._loop = asyncio.get_running_loop()
        # One for all: making one reads every authority's certificate, 20 ms.
        self._context = secure_context(authorities)
        self._names = Names(settings.NAMESERVERS)
        self._resolvers = {scheme: Resolver(self._names, scheme) for scheme in ("https", "http")}
        self._guards = {scheme: guarded_by(scheme) for scheme in ("https", "http")}
        self._busy: dict[Key, Pool] = {}
        # In the order in which they became idle.
        self._idle: OrderedDict[Key, Pool] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self._sweeper = self._loop.call_later(POOL_IDLE_SECONDS / 4, self._sweep)

    def __len__(self) -> int:
        return len(self._busy) + len(self._idle)

    @contextmanager
    def of(self, key: Key) -> Iterator[aiohttp.ClientSession]:
        """The pool's session, which stays open at least while the block runs."""
        pool = self._busy.get(key)
        if pool is None:
            is_open = key in self._idle
            pool = self._idle.pop(key) if is_open else Pool(self._opened(key[1]))
            self._busy[key] = pool
        pool.users += 1
        try:
            yield pool.session
        finally:
            pool.users -= 1
            if not pool.users:
                self._rest(key)

    async def close(self) -> None:
        self._sweeper.cancel()
        for pool in [*self._busy.values(), *self._idle.values()]:
            self._drop(pool)
        await asyncio.gather(*self._closing)
        self._names.close()

    def _opened(self, scheme: str) -> aiohttp.ClientSession:
        connector = Connector(
            resolver=self._resolvers[scheme], guard=self._guards[scheme], context=self._context
        )
        return aiohttp.ClientSession(
            connector=connector,
            response_class=Answer,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            trust_env=False,
        )

    def _rest(self, key: Key) -> None:
        pool = self._busy.pop(key)
        pool.idle_since = self._loop.time()
        self._idle[key] = pool
        if len(self._idle) > POOLS_KEPT:
            self._drop(self._idle.popitem(last=False)[1])

    def _sweep(self) -> None:
        longest = self._loop.time() - POOL_IDLE_SECONDS
        while self._idle and next(iter(self._idle.values())).idle_since <= longest:
            self._drop(self._idle.popitem(last=False)[1])
        self._sweeper = self._loop.call_later(POOL_IDLE_SECONDS / 4, self._sweep)

    def _drop(self, pool: Pool) -> None:
        closing: Coroutine[Any, Any, None] = pool.session.close()
        task = self._loop.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
