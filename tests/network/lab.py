"""Run servers on loopback that do one thing wrong each. Real sockets; each fault is a function."""

import gzip
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

HEAD = b"HTTP/1.1 200 OK\r\n"
BLOCK = b"x" * 65_536
GIGABYTE = 1 << 30


@dataclass
class Lab:
    """Observe a running server: its port, its connections, and what it sent and received."""

    port: int = 0
    accepted: int = 0
    sent: int = 0
    requests: list[bytes] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def send(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(data)
        self.sent += len(data)

    def read_request(self, connection: socket.socket) -> bytes:
        """Return one request, head and body; empty when the connection ends."""
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = connection.recv(65_536)
            if not chunk:
                return b""
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65_536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]


Fault = Callable[[Lab, socket.socket], None]


class Server:
    """Run the fault on each connection, in a thread of its own."""

    def __init__(self, fault: Fault, context: ssl.SSLContext | None) -> None:
        self.lab = Lab()
        self._fault = fault
        self._context = context
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            if self.lab.is_over.is_set():
                connection.close()
                return
            self.lab.accepted += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._run_fault, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run_fault(self, connection: socket.socket) -> None:
        # The other side may close at any time.
        with suppress(OSError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection:
                self._fault(self.lab, connection)

    def end(self) -> None:
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(timeout=5)


@contextmanager
def serving(fault: Fault, context: ssl.SSLContext | None = None) -> Iterator[Lab]:
    """Run a server while the block runs."""
    server = Server(fault, context)
    lab = server.lab
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        lab.port = listener.getsockname()[1]
        acceptor = threading.Thread(target=server.accept, args=(listener,), daemon=True)
        acceptor.start()
        try:
            yield lab
        finally:
            lab.is_over.set()
            socket.create_connection(("127.0.0.1", lab.port)).close()
            acceptor.join(timeout=5)
            server.end()


def responds(raw: bytes, *, and_closes: bool = False) -> Fault:
    """Return the same response to every request of a connection: no fault by itself."""

    def act(lab: Lab, connection: socket.socket) -> None:
        while lab.read_request(connection):
            lab.send(connection, raw)
            if and_closes:
                return

    return act


def drips(head: bytes) -> Fault:
    """Continue with one byte a second after the head."""

    def act(lab: Lab, connection: socket.socket) -> None:
        lab.read_request(connection)
        lab.send(connection, head)
        while not lab.is_over.wait(1.0):
            lab.send(connection, b"a")

    return act


def resets_after(raw: bytes) -> Fault:
    """Send some bytes, then reset the connection."""

    def act(lab: Lab, connection: socket.socket) -> None:
        lab.read_request(connection)
        lab.send(connection, raw)
        lab.is_over.wait(0.05)  # what was sent must arrive before the reset overtakes it
        reset(connection)

    return act


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def floods(head: bytes, block: bytes, *, times: int = 1_000_000) -> Fault:
    """Send a block again and again, as long as the other side reads."""

    def act(lab: Lab, connection: socket.socket) -> None:
        lab.read_request(connection)
        lab.send(connection, head)
        for _ in range(times):
            if lab.is_over.is_set():
                return
            lab.send(connection, block)

    return act


def silence(lab: Lab, connection: socket.socket) -> None:
    lab.read_request(connection)
    lab.is_over.wait()


def deafness(lab: Lab, connection: socket.socket) -> None:
    """Do not even read the request."""
    lab.is_over.wait()


def bad_handshake(lab: Lab, connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"\x16\x03\x03\x00\x05nonsense" + BLOCK[:100])


def plain_speech(lab: Lab, connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def reset_handshake(lab: Lab, connection: socket.socket) -> None:
    connection.recv(4096)
    reset(connection)


def gzip_bomb() -> bytes:
    """Return 100 MB of zeros in 100 KB, correctly declared."""
    body = gzip.compress(bytes(100_000_000), 6)
    return HEAD + b"Content-Encoding: gzip\r\n" + b"Content-Length: %d\r\n\r\n" % len(body) + body


def many_headers(count: int) -> bytes:
    lines = b"".join(b"X-Header-%d: value\r\n" % number for number in range(count))
    return HEAD + lines + b"Content-Length: 0\r\n\r\n"
