"""Run a name server on loopback with scripted answers: rebinding, missing, silent."""

import ipaddress
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

A, CNAME, SOA, AAAA = 1, 5, 6, 28
NO_ERROR, NO_SUCH_NAME = 0, 3


@dataclass(frozen=True)
class Answer:
    """Script what a name resolves to. A silent one gets no reply."""

    addresses: tuple[str, ...] = ()
    alias: str = ""
    exists: bool = True
    is_silent: bool = False


def resolves_to(*addresses: str, alias: str = "") -> Answer:
    return Answer(addresses, alias)


NOWHERE = Answer(exists=False)
SILENCE = Answer(is_silent=True)


@dataclass
class Nameserver:
    """Answer the n-th query of a name with its n-th script; after the last, with the last."""

    address: str
    zone: dict[str, list[Answer]] = field(default_factory=dict)
    queries: Counter[tuple[str, int]] = field(default_factory=Counter)

    def reply(self, query: bytes) -> bytes | None:
        """Return the reply to a query; None for silence."""
        name, kind, question = _question(query)
        number = self.queries[name, kind]
        self.queries[name, kind] += 1
        script = self.zone.get(name, [NOWHERE])
        answer = script[min(number, len(script) - 1)]
        if answer.is_silent:
            return None
        records = list(_records(answer, kind))
        code = NO_ERROR if answer.exists else NO_SUCH_NAME
        # A negative answer has a time to live (RFC 2308): zero.
        absence = [] if records else [_record(b"\x00", SOA, b"\x00\x00" + bytes(20))]
        counts = (1, len(records), len(absence), 0)
        head = struct.pack("!2s5H", query[:2], 0x8580 | code, *counts)
        return head + question + b"".join(records + absence)


def _question(query: bytes) -> tuple[str, int, bytes]:
    labels, place = [], 12
    while length := query[place]:
        labels.append(query[place + 1 : place + 1 + length].decode())
        place += 1 + length
    (kind,) = struct.unpack_from("!H", query, place + 1)
    return ".".join(labels).lower(), kind, query[12 : place + 5]


def _records(answer: Answer, kind: int) -> Iterator[bytes]:
    owner = b"\xc0\x0c"  # the question's name
    if answer.alias:
        target = b"".join(bytes([len(label)]) + label.encode() for label in answer.alias.split("."))
        yield _record(owner, CNAME, target + b"\x00")
        owner = target + b"\x00"
    for text in answer.addresses:
        address = ipaddress.ip_address(text)
        if kind == (A if address.version == 4 else AAAA):
            yield _record(owner, kind, address.packed)


def _record(owner: bytes, kind: int, content: bytes) -> bytes:
    lifetime = 0  # not to be cached
    return owner + struct.pack("!HHIH", kind, 1, lifetime, len(content)) + content


@contextmanager
def answering() -> Iterator[Nameserver]:
    """Run a name server while the block runs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        host, port = listener.getsockname()
        server = Nameserver(f"{host}:{port}")
        thread = threading.Thread(target=_serve, args=(listener, server), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.sendto(b"", (host, port))
            thread.join(timeout=5)


def _serve(listener: socket.socket, server: Nameserver) -> None:
    while True:
        query, client = listener.recvfrom(4096)
        if not query:
            return
        reply = server.reply(query)
        if reply is not None:
            listener.sendto(reply, client)
