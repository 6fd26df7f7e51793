"""Connections to receivers: whom we may reach, how names are looked up, and what is kept open."""

import asyncio
import socket
import ssl
from collections import OrderedDict
from functools import partial
from time import monotonic
from uuid import UUID

from aiohappyeyeballs import AddrInfoType, start_connection
from django.conf import settings

from apps.webhooks.addresses import may_connect
from apps.webhooks.names import Names
from apps.webhooks.progress import Progress
from apps.webhooks.wire import Target, Wire

IDLE_KEPT = 1_000
IDLE_SECONDS = 15.0
# RFC 8305, 5: so long an address has before the next one is tried beside it.
NEXT_ADDRESS_SECONDS = 0.25

Key = tuple[UUID, str, str, int]
"""A pool, and the scheme, host and port of those of its connections that are alike."""


class AddressDenied(OSError):
    """The URL leads to an address that we must not call."""


class Connections:
    """Open connections for whoever asks, of one event loop. Idle ones are kept a while.

    `authorities` (PEM) are certificates that are believed besides the system's.
    """

    def __init__(self, authorities: str = "") -> None:
        self._loop = asyncio.get_running_loop()
        # One for all: making one reads every authority's certificate, 20 ms.
        self._context = _secure_context(authorities)
        self._names = Names(settings.NAMESERVERS)
        self._idle: dict[Key, list[Wire]] = {}
        # All idle ones, in the order in which they became so.
        self._resting: OrderedDict[Wire, Key] = OrderedDict()
        self._sweeper = self._loop.call_later(IDLE_SECONDS / 4, self._sweep)

    def __len__(self) -> int:
        return len(self._resting)

    async def wire(self, pool: UUID, target: Target, progress: Progress) -> Wire:
        """A connection that is the caller's until it is given to `keep`.

        Raises `AddressDenied`, `NameNotFound`, or what the network says (`OSError`).
        """
        key = (pool, target.scheme, target.host, target.port)
        wire = self._rested(key) or await self._opened(target, progress)
        progress.connected = monotonic()
        progress.peer = wire.peer
        return wire

    def keep(self, pool: UUID, target: Target, wire: Wire) -> None:
        """Take a connection back, for the next one of its pool to use."""
        if not wire.is_reusable:
            return
        key = (pool, target.scheme, target.host, target.port)
        wire.idle_since = self._loop.time()
        self._idle.setdefault(key, []).append(wire)
        self._resting[wire] = key
        if len(self._resting) > IDLE_KEPT:
            self._drop_longest_idle()

    def close(self) -> None:
        self._sweeper.cancel()
        while self._resting:
            self._drop_longest_idle()
        self._names.close()

    # --- idle connections -------------------------------------------------------------------------

    def _rested(self, key: Key) -> Wire | None:
        """The one that was used last, if it is still open."""
        while wires := self._idle.get(key):
            wire = wires.pop()
            if not wires:
                del self._idle[key]
            del self._resting[wire]
            if wire.is_reusable:
                return wire
        return None

    def _drop_longest_idle(self) -> None:
        wire, key = self._resting.popitem(last=False)
        wires = self._idle[key]
        wires.remove(wire)
        if not wires:
            del self._idle[key]
        wire.close()

    def _sweep(self) -> None:
        longest = self._loop.time() - IDLE_SECONDS
        while self._resting and next(iter(self._resting)).idle_since <= longest:
            self._drop_longest_idle()
        self._sweeper = self._loop.call_later(IDLE_SECONDS / 4, self._sweep)

    # --- new connections --------------------------------------------------------------------------

    async def _opened(self, target: Target, progress: Progress) -> Wire:
        addresses = await self._addresses(target, progress)
        connected = await start_connection(
            addresses,
            happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
            socket_factory=partial(_guarded_socket, target.scheme, progress),
        )
        if not target.is_secure:
            _, wire = await self._loop.create_connection(Wire, sock=connected)
            return wire
        progress.securing = monotonic()
        _, wire = await self._loop.create_connection(
            Wire, sock=connected, ssl=self._context, server_hostname=target.host
        )
        return wire

    async def _addresses(self, target: Target, progress: Progress) -> list[AddrInfoType]:
        """Those that may be called.

        The socket's guard checks them once more; those that it would refuse are left out here
        already, so that they neither delay the others nor hide what became of them.
        """
        if target.literals:
            return list(target.literals)
        progress.resolving = monotonic()
        found = await self._names.addresses(target.host, target.port)
        progress.resolved = monotonic()
        allowed = [one for one in found if may_connect(one[4][0], scheme=target.scheme)]
        if not allowed:
            addresses = ", ".join(one[4][0] for one in found[:4])
            raise AddressDenied(
                f"{target.host} leads to {addresses}: no address that may be called"
            )
        return allowed


def _guarded_socket(scheme: str, progress: Progress, address_info: AddrInfoType) -> socket.socket:
    """A socket for an address that may be called: the last and only sure check, since this is the
    concrete address that the socket then connects to.
    """
    family, kind, protocol, _, address = address_info
    if not may_connect(address[0], scheme=scheme):
        raise AddressDenied(f"{address[0]} is no address that may be called")
    progress.connecting = progress.connecting or monotonic()
    return socket.socket(family=family, type=kind, proto=protocol)


def _secure_context(authorities: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authorities:
        context.load_verify_locations(cadata=authorities)
    context.set_alpn_protocols(["http/1.1"])
    return context
