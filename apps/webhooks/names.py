"""Looking names up by c-ares: no thread waits, so no slow name server can use the threads up.

It reads /etc/hosts and resolv.conf as the system does, and keeps an answer for as long as the answer
says, an hour at most.
"""

import asyncio
import socket
from typing import Any

import pycares
from aiohappyeyeballs import AddrInfoType, addr_to_addr_infos

TRIES = 3
TRY_SECONDS = 2.0
FORGET_SECONDS = 1.0

NO_DATA = pycares.errno.ARES_ENODATA


class NameNotFound(OSError):
    """There is no such name, it has no address, or no name server told."""


class Names:
    """Look-ups for one event loop. `nameservers` are `address:port`; none means the system's."""

    def __init__(self, nameservers: list[str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel = pycares.Channel(
            servers=nameservers or None, timeout=TRY_SECONDS, tries=TRIES
        )
        self._forgot_at = 0.0

    async def addresses(self, host: str, port: int) -> list[AddrInfoType]:
        """The addresses of a host, the best first. Raises `NameNotFound`."""
        answered: asyncio.Future[Any] = self._loop.create_future()

        def take(found: Any, error: int | None) -> None:
            # From c-ares's thread; also when nobody waits any more.
            self._loop.call_soon_threadsafe(_settle, answered, found, error)

        self._channel.getaddrinfo(
            host,
            port,
            family=socket.AF_UNSPEC,
            type=socket.SOCK_STREAM,
            callback=take,
        )
        found, error = await answered
        if error == NO_DATA:
            self._forget()
        if error is not None:
            raise NameNotFound(pycares.errno.strerror(error))
        places = [(node.addr[0].decode(), port) for node in found.nodes]
        return [info for place in places for info in addr_to_addr_infos(place) or ()]

    def close(self) -> None:
        self._channel.cancel()
        self._channel.close()

    def _forget(self) -> None:
        """Empty the cache. c-ares keeps "no address of this kind" an hour, whatever its answer said
        (1.34.9): an attempt after the name was mended would still fail.
        """
        if self._loop.time() - self._forgot_at >= FORGET_SECONDS:
            self._forgot_at = self._loop.time()
            self._channel.reinit()


def _settle(answered: asyncio.Future[Any], found: Any, error: int | None) -> None:
    if not answered.done():
        answered.set_result((found, error))
