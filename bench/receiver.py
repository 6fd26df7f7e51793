"""Receive webhooks on many loopback ports in one process that uses little CPU.

Some ports respond 204 after `--delay` seconds; silent ones read the request and never respond. The
first line that the program prints is JSON: the addresses it listens on. The control address reports
and resets the counts: `GET /received`, `GET /count`, `POST /reset`, `POST /hang-up` (silent ones).
"""

import argparse
import asyncio
import json
import re
import time
from dataclasses import dataclass, field

from aiohttp import web

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ID = re.compile(rb"\r\nwebhook-id: *(\S+)", re.IGNORECASE)
_SIGNATURE = re.compile(rb"\r\nwebhook-signature: *([^\r]+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_RESPONSE = (
    b"HTTP/1.1 204 No Content\r\nDate: Wed, 25 Nov 2026 12:00:00 GMT\r\nServer: bench\r\n\r\n"
)
BACKLOG = 1024


@dataclass
class Received:
    """Count what the responding ports received.

    Times are `time.time()`, read when a request is complete.
    """

    arrivals: dict[str, float] = field(default_factory=dict)
    # Requests whose id was received before.
    duplicates: int = 0
    # Requests with a v1 and a v1a signature.
    signed_twice: int = 0

    def add(self, head: bytes, now: float) -> None:
        id_match = _ID.search(head)
        webhook_id = id_match[1].decode() if id_match else ""
        if webhook_id in self.arrivals:
            self.duplicates += 1
        else:
            self.arrivals[webhook_id] = now
        signature = _SIGNATURE.search(head)
        words = signature[1].split() if signature else []
        self.signed_twice += {word.partition(b",")[0] for word in words} == {b"v1", b"v1a"}


@dataclass
class SilentOrigin:
    """Track an origin that never responds: its waiting requests, and the most there ever were."""

    waiting: "set[_Connection]" = field(default_factory=set)
    peak: int = 0

    def add(self, connection: "_Connection") -> None:
        self.waiting.add(connection)
        self.peak = max(self.peak, len(self.waiting))

    def hang_up(self) -> None:
        for connection in list(self.waiting):
            connection.transport.close()


class _Connection(asyncio.Protocol):
    """Read one request at a time, as clients of HTTP/1.1 without pipelining send them."""

    transport: asyncio.Transport

    def __init__(self, received: Received, delay: float, silent: SilentOrigin | None) -> None:
        self._received, self._delay, self._silent = received, delay, silent
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(_HEAD_END)
        if head_end < 0:
            return
        head = self._buffer[:head_end]
        length = _LENGTH.search(head)
        if len(self._buffer) < head_end + len(_HEAD_END) + (int(length[1]) if length else 0):
            return
        self._buffer = b""
        self._handle(head)

    def _handle(self, head: bytes) -> None:
        if self._silent is not None:
            self._silent.add(self)
            return
        self._received.add(head, time.time())
        asyncio.get_running_loop().call_later(self._delay, self._respond)

    def _respond(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_RESPONSE)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._silent is not None:
            self._silent.waiting.discard(self)


class Receivers:
    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._received = Received()
        self._silent: list[SilentOrigin] = []

    async def open(self, *, answering: int, silent: int) -> dict[str, object]:
        """Listen on all ports. Return their addresses."""
        self._silent = [SilentOrigin() for _ in range(silent)]
        return {
            "control": await self._control(),
            "origins": [await self._listen(None) for _ in range(answering)],
            "silent": [await self._listen(origin) for origin in self._silent],
        }

    async def _listen(self, silent: SilentOrigin | None) -> str:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Connection(self._received, self._delay, silent),
            "127.0.0.1",
            0,
            backlog=BACKLOG,
        )
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _control(self) -> str:
        app = web.Application()
        app.add_routes(
            [
                web.get("/received", self._report),
                web.get("/count", self._count),
                web.post("/reset", self._reset),
                web.post("/hang-up", self._hang_up),
            ]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _report(self, request: web.Request) -> web.Response:
        silent = [{"waiting": len(origin.waiting), "peak": origin.peak} for origin in self._silent]
        return web.json_response({**vars(self._received), "silent": silent})

    async def _count(self, request: web.Request) -> web.Response:
        return web.json_response(len(self._received.arrivals) + self._received.duplicates)

    async def _reset(self, request: web.Request) -> web.Response:
        # The connections refer to the same object: it is emptied, not replaced.
        vars(self._received).update(vars(Received()))
        return web.json_response(None)

    async def _hang_up(self, request: web.Request) -> web.Response:
        for origin in self._silent:
            origin.hang_up()
        return web.json_response(None)


async def serve(*, delay: float, answering: int, silent: int) -> None:
    addresses = await Receivers(delay).open(answering=answering, silent=silent)
    print(json.dumps(addresses), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--delay", type=float, required=True, help="seconds")
    options.add_argument("--answering", type=int, required=True)
    options.add_argument("--silent", type=int, default=0)
    asyncio.run(serve(**vars(options.parse_args())))


if __name__ == "__main__":
    main()
