"""A name server on loopback whose every answer is scripted: it rebinds, lies and falls silent."""

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
    """What a name leads to. Nothing at all is said to whoever asks for a silent one."""

    addresses: tuple[str, ...] = ()
    alias: str = ""
    exists: bool = True
    is_silent: bool = False


def leads_to(*addresses: str, alias: str = "") -> Answer:
    return Answer(addresses, alias)


NOWHERE = Answer(exists=False)
SILENCE = Answer(is_silent=True)


@dataclass
class Nameserver:
    """The n-th look-up of a name gets its n-th answer; after the last, the last again."""

    address: str
    zone: dict[str, list[Answer]] = field(default_factory=dict)
    asked: Counter[tuple[str, int]] = field(default_factory=Counter)

    def reply(self, query: bytes) -> bytes | None:
        """The message that answers a query, or None for silence."""
        name, kind, question = _question(query)
        number = self.asked[name, kind]
        self.asked[name, kind] += 1
        script = self.zone.get(name, [NOWHERE])
        answer = script[min(number, len(script) - 1)]
        if answer.is_silent:
            return None
        records = list(_records(answer, kind))
        code = NO_ERROR if answer.exists else NO_SUCH_NAME
        # Who says that there is nothing says for how long (RFC 2308): for no time at all.
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
        target = b"".join(bytes([len(one)]) + one.encode() for one in answer.alias.split("."))
        yield _record(owner, CNAME, target + b"\x00")
        owner = target + b"\x00"
    for text in answer.addresses:
        address = ipaddress.ip_address(text)
        if kind == (A if address.version == 4 else AAAA):
            yield _record(owner, kind, address.packed)


def _record(owner: bytes, kind: int, content: bytes) -> bytes:
    lifetime = 0  # nobody may keep it
    return owner + struct.pack("!HHIH", kind, 1, lifetime, len(content)) + content


@contextmanager
def answering() -> Iterator[Nameserver]:
    """A name server that runs while the block does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("127.0.0.1", 0))
        host, port = door.getsockname()
        server = Nameserver(f"{host}:{port}")
        thread = threading.Thread(target=_serve, args=(door, server), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            door.sendto(b"", (host, port))
            thread.join(timeout=5)


def _serve(door: socket.socket, server: Nameserver) -> None:
    while True:
        query, asker = door.recvfrom(4096)
        if not query:
            return
        reply = server.reply(query)
        if reply is not None:
            door.sendto(reply, asker)
