"""Open connections to receivers: allowed addresses only; keep idle ones for reuse."""

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from time import monotonic
from uuid import UUID

from aiohappyeyeballs import AddrInfoType, start_connection

from apps.webhooks.http_client.addresses import may_connect
from apps.webhooks.http_client.attempt_trace import AttemptTrace
from apps.webhooks.http_client.dns import Resolver
from apps.webhooks.http_client.http1 import Http1Connection, Target

MAX_IDLE = 1_000
IDLE_SECONDS = 15.0
# RFC 8305, 5: how long one address may take before the next one is tried in parallel.
NEXT_ADDRESS_SECONDS = 0.25

# A pool id, and the scheme, host and port of connections that may replace each other.
Key = tuple[UUID, str, str, int]


class AddressDenied(OSError):
    """The URL points to an address that we must not call."""


class ConnectionPool:
    """Open and reuse the connections of one event loop.

    `allows_loopback` is called for each connection. `authorities` (PEM) are certificates that are
    trusted besides the system's.
    """

    def __init__(
        self, *, nameservers: list[str], allows_loopback: Callable[[], bool], authorities: str
    ) -> None:
        self._loop = asyncio.get_running_loop()
        # One for all: making one reads every authority's certificate, 20 ms.
        self._context = _tls_context(authorities)
        self._resolver = Resolver(nameservers)
        self._allows_loopback = allows_loopback
        self._idle: dict[Key, list[Http1Connection]] = {}
        # All idle connections, the longest idle first.
        self._idle_order: OrderedDict[Http1Connection, Key] = OrderedDict()
        self._sweeper = self._loop.call_later(IDLE_SECONDS / 4, self._sweep)

    def __len__(self) -> int:
        """Return how many connections are idle."""
        return len(self._idle_order)

    async def acquire(
        self, connection_key: UUID, target: Target, trace: AttemptTrace
    ) -> Http1Connection:
        """Return a connection for the caller's exclusive use until `release`.

        Raise `AddressDenied`, `NameNotFound`, or the network's error (`OSError`).
        """
        key = (connection_key, target.scheme, target.host, target.port)
        connection = self._take_idle(key) or await self._open(target, trace)
        trace.connected_at = monotonic()
        trace.peer = connection.peer
        return connection

    def release(self, connection_key: UUID, target: Target, connection: Http1Connection) -> None:
        """Take a connection back, for the next request with its key."""
        if not connection.is_reusable:
            return
        key = (connection_key, target.scheme, target.host, target.port)
        connection.idle_since = self._loop.time()
        self._idle.setdefault(key, []).append(connection)
        self._idle_order[connection] = key
        if len(self._idle_order) > MAX_IDLE:
            self._close_longest_idle()

    def close(self) -> None:
        self._sweeper.cancel()
        while self._idle_order:
            self._close_longest_idle()
        self._resolver.close()

    # --- idle connections -------------------------------------------------------------------------

    def _take_idle(self, key: Key) -> Http1Connection | None:
        """Return the connection that was used last and is still open."""
        while connections := self._idle.get(key):
            connection = connections.pop()
            if not connections:
                del self._idle[key]
            del self._idle_order[connection]
            if connection.is_reusable:
                return connection
        return None

    def _close_longest_idle(self) -> None:
        connection, key = self._idle_order.popitem(last=False)
        connections = self._idle[key]
        connections.remove(connection)
        if not connections:
            del self._idle[key]
        connection.close()

    def _sweep(self) -> None:
        oldest = self._loop.time() - IDLE_SECONDS
        while self._idle_order and next(iter(self._idle_order)).idle_since <= oldest:
            self._close_longest_idle()
        self._sweeper = self._loop.call_later(IDLE_SECONDS / 4, self._sweep)

    # --- new connections --------------------------------------------------------------------------

    async def _open(self, target: Target, trace: AttemptTrace) -> Http1Connection:
        addresses = await self._addresses(target, trace)
        connected = await start_connection(
            addresses,
            happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
            socket_factory=partial(self._guarded_socket, target.scheme, trace),
        )
        if not target.is_secure:
            _, connection = await self._loop.create_connection(Http1Connection, sock=connected)
            return connection
        trace.tls_started_at = monotonic()
        _, connection = await self._loop.create_connection(
            Http1Connection, sock=connected, ssl=self._context, server_hostname=target.host
        )
        return connection

    async def _addresses(self, target: Target, trace: AttemptTrace) -> list[AddrInfoType]:
        """Return the addresses that may be called.

        The check at the socket repeats this. Denied addresses are left out here already, so that
        they neither delay the others nor hide the others' errors.
        """
        if target.literal_addresses:
            return list(target.literal_addresses)
        trace.dns_started_at = monotonic()
        resolved = await self._resolver.addresses(target.host, target.port)
        trace.dns_ended_at = monotonic()
        allowed = [info for info in resolved if self._may_connect(info[4][0], target.scheme)]
        if not allowed:
            addresses = ", ".join(info[4][0] for info in resolved[:4])
            raise AddressDenied(
                f"{target.host} resolves to {addresses}: no address that may be called"
            )
        return allowed

    def _may_connect(self, address: str, scheme: str) -> bool:
        return may_connect(address, scheme=scheme, allows_loopback=self._allows_loopback())

    def _guarded_socket(
        self, scheme: str, trace: AttemptTrace, address_info: AddrInfoType
    ) -> socket.socket:
        """Return a socket for an address that may be called.

        The last check and the only safe one: this is the concrete address that the socket then
        connects to.
        """
        family, kind, protocol, _, address = address_info
        if not self._may_connect(address[0], scheme):
            raise AddressDenied(f"{address[0]} is not an address that may be called")
        trace.connect_started_at = trace.connect_started_at or monotonic()
        return socket.socket(family=family, type=kind, proto=protocol)


def _tls_context(authorities: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authorities:
        context.load_verify_locations(cadata=authorities)
    context.set_alpn_protocols(["http/1.1"])
    return context
