"""Record every TCP connection that the sender's thread tries to open, at `socket.connect`."""

import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock


@dataclass
class Spy:
    """Hold the addresses tried. No packet leaves this machine.

    A public address is refused, unless it is routed to a port of this machine.
    """

    tried: list[str] = field(default_factory=list)
    routes: dict[str, int] = field(default_factory=dict)


@contextmanager
def spying() -> Iterator[Spy]:
    spy = Spy()
    connect = socket.socket.connect

    def spied(self: socket.socket, address: Any) -> None:
        if threading.current_thread().name != "sender" or self.type != socket.SOCK_STREAM:
            return connect(self, address)
        host = address[0]
        spy.tried.append(host)
        if host in spy.routes:
            return connect(self, ("127.0.0.1", spy.routes[host]))
        if not ipaddress.ip_address(host).is_loopback:
            raise ConnectionRefusedError(111, "not in a test")
        return connect(self, address)

    with mock.patch.object(socket.socket, "connect", spied):
        yield spy
