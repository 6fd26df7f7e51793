"""Resolve host names with c-ares: no thread blocks, so a slow name server cannot use up threads.

c-ares reads /etc/hosts and resolv.conf as the system does, and caches an answer for its time to
live, at most an hour.
"""

import asyncio
import socket
from typing import Any

import pycares
from aiohappyeyeballs import AddrInfoType, addr_to_addr_infos

TRIES = 3
TRY_SECONDS = 2.0
CACHE_RESET_SECONDS = 1.0

NO_DATA = pycares.errno.ARES_ENODATA


class NameNotFound(OSError):
    """The name does not exist, it has no address, or no name server answered."""


class Resolver:
    """Resolve names for one event loop.

    `nameservers` are `address:port`; without any, the system's are used.
    """

    def __init__(self, nameservers: list[str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel = pycares.Channel(
            servers=nameservers or None, timeout=TRY_SECONDS, tries=TRIES
        )
        self._cache_reset_at = 0.0

    async def addresses(self, host: str, port: int) -> list[AddrInfoType]:
        """Return the addresses of a host, the preferred first. Raise `NameNotFound`."""
        lookup: asyncio.Future[Any] = self._loop.create_future()

        def on_answer(answer: Any, error: int | None) -> None:
            # Called from c-ares's thread, also after the attempt has ended.
            self._loop.call_soon_threadsafe(_resolve_future, lookup, answer, error)

        self._channel.getaddrinfo(
            host,
            port,
            family=socket.AF_UNSPEC,
            type=socket.SOCK_STREAM,
            callback=on_answer,
        )
        answer, error = await lookup
        if error == NO_DATA:
            self._reset_cache()
        if error is not None:
            raise NameNotFound(pycares.errno.strerror(error))
        addresses = [(node.addr[0].decode(), port) for node in answer.nodes]
        return [info for address in addresses for info in addr_to_addr_infos(address) or ()]

    def close(self) -> None:
        self._channel.cancel()
        self._channel.close()

    def _reset_cache(self) -> None:
        """Empty the cache, at most once a second.

        c-ares keeps "no address of this kind" for an hour, independent of the answer's time to
        live (1.34.9): an attempt after the record was corrected would still fail.
        """
        if self._loop.time() - self._cache_reset_at >= CACHE_RESET_SECONDS:
            self._cache_reset_at = self._loop.time()
            self._channel.reinit()


def _resolve_future(lookup: asyncio.Future[Any], answer: Any, error: int | None) -> None:
    if not lookup.done():
        lookup.set_result((answer, error))
