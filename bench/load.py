"""Generate load with little CPU, on the machine that it shares with the server.

One thread, blocking sockets and `select`: each connection has one request under way, and sends the
next as soon as the answer is there (a closed loop).
"""

import re
import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

PATIENCE_SECONDS = 10.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class LoadFailed(Exception):
    """Report a response that is missing or not the expected one."""


@dataclass(frozen=True, slots=True)
class Load:
    """Hold the result of a measurement: its length and each request's latency, in seconds."""

    seconds: float
    latencies: list[float]

    @property
    def done(self) -> int:
        return len(self.latencies)


def post_requests(
    *, path: str, api_key: str, template: bytes, mark: bytes, headers: str = ""
) -> Iterator[bytes]:
    """Yield requests endlessly; in each, `mark` is replaced by a number of the same length.

    `headers` are further lines, each with its end.
    """
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(template)}\r\n{headers}\r\n"
    )
    parts = (head.encode() + template).split(mark)
    number = 0
    while True:
        number += 1
        yield (b"%0*d" % (len(mark), number)).join(parts)


def get_requests(*, paths: Iterator[str], api_key: str) -> Iterator[bytes]:
    """Yield whole requests for the paths."""
    for path in paths:
        yield (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {api_key}\r\n\r\n"
        ).encode()


def drive(
    *, port: int, requests: Iterator[bytes], connections: int, seconds: float, expected: int
) -> Load:
    """Send `requests` for `seconds`; every response must have the status `expected`."""
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        lines = [Line(port) for _ in range(connections)]
        started = time.perf_counter()
        for line in lines:
            selector.register(line.socket, selectors.EVENT_READ, line)
            line.send(next(requests))
        waiting = connections
        while waiting:
            for line in _answered(selector, expected):
                now = time.perf_counter()
                latencies.append(now - line.sent_at)
                if now - started < seconds:
                    line.send(next(requests))
                else:
                    waiting -= 1
        ended = time.perf_counter()
        for line in lines:
            line.socket.close()
    return Load(ended - started, latencies)


def _answered(selector: selectors.BaseSelector, expected: int) -> "Iterator[Line]":
    ready = selector.select(PATIENCE_SECONDS)
    if not ready:
        raise LoadFailed(f"no answer within {PATIENCE_SECONDS:.0f} s")
    for key, _ in ready:
        line: Line = key.data
        if line.has_answer():
            line.check(expected)
            yield line


class Line:
    """Hold a persistent connection with at most one request in progress."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self.answer = b""

    def send(self, request: bytes) -> None:
        self.answer = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def has_answer(self) -> bool:
        """Read the available bytes. Return whether the response is complete."""
        part = self.socket.recv(65536)
        if not part:
            raise LoadFailed(f"the server closed the connection after {self.answer!r}")
        self.answer += part
        head_end = self.answer.find(_HEAD_END)
        if head_end < 0:
            return False
        length = _LENGTH.search(self.answer, 0, head_end)
        if length is None:
            return self.answer.endswith(b"\r\n0\r\n\r\n")  # the last chunk
        return len(self.answer) >= head_end + len(_HEAD_END) + int(length[1])

    def check(self, expected: int) -> None:
        if not self.answer.startswith(b"HTTP/1.1 %d " % expected):
            raise LoadFailed(f"instead of {expected}: {self.answer.decode(errors='replace')}")
