"""Receivers of webhooks on many loopback ports in one process, which takes little of the machine.

Some answer 204 after `--delay` seconds; some, the silent ones, take the request and never answer.
The first line that the program prints is JSON: where it listens. What came is asked for at the
control address: `GET /seen`, `POST /forget`, `POST /hang-up` (of the silent ones).
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
_ANSWER = b"HTTP/1.1 204 No Content\r\nDate: Wed, 25 Nov 2026 12:00:00 GMT\r\nServer: bench\r\n\r\n"
BACKLOG = 1024


@dataclass
class Seen:
    """What came to those that answer. Times are `time.time()`, read when a request is whole."""

    arrivals: dict[str, float] = field(default_factory=dict)
    # Requests whose id had come before.
    again: int = 0
    # Requests that bear a v1 and a v1a signature.
    signed_twice: int = 0

    def take(self, head: bytes, now: float) -> None:
        found = _ID.search(head)
        webhook_id = found[1].decode() if found else ""
        if webhook_id in self.arrivals:
            self.again += 1
        else:
            self.arrivals[webhook_id] = now
        signature = _SIGNATURE.search(head)
        words = signature[1].split() if signature else []
        self.signed_twice += {word.partition(b",")[0] for word in words} == {b"v1", b"v1a"}


@dataclass
class Silence:
    """One origin that never answers: the requests that wait for it now, and the most that did."""

    waiting: "set[_Line]" = field(default_factory=set)
    peak: int = 0

    def take(self, line: "_Line") -> None:
        self.waiting.add(line)
        self.peak = max(self.peak, len(self.waiting))

    def hang_up(self) -> None:
        for line in list(self.waiting):
            line.transport.close()


class _Line(asyncio.Protocol):
    """A connection: one request at a time, as clients of HTTP/1.1 without pipelining send them."""

    transport: asyncio.Transport

    def __init__(self, seen: Seen, delay: float, silence: Silence | None) -> None:
        self._seen, self._delay, self._silence = seen, delay, silence
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return
        head = self._received[:head_end]
        length = _LENGTH.search(head)
        if len(self._received) < head_end + len(_HEAD_END) + (int(length[1]) if length else 0):
            return
        self._received = b""
        self._take(head)

    def _take(self, head: bytes) -> None:
        if self._silence is not None:
            self._silence.take(self)
            return
        self._seen.take(head, time.time())
        asyncio.get_running_loop().call_later(self._delay, self._answer)

    def _answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_ANSWER)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._silence is not None:
            self._silence.waiting.discard(self)


class Receivers:
    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._seen = Seen()
        self._silent: list[Silence] = []

    async def open(self, *, answering: int, silent: int) -> dict[str, object]:
        """Listen; where."""
        self._silent = [Silence() for _ in range(silent)]
        return {
            "control": await self._control(),
            "origins": [await self._listen(None) for _ in range(answering)],
            "silent": [await self._listen(silence) for silence in self._silent],
        }

    async def _listen(self, silence: Silence | None) -> str:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Line(self._seen, self._delay, silence), "127.0.0.1", 0, backlog=BACKLOG
        )
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _control(self) -> str:
        app = web.Application()
        app.add_routes(
            [
                web.get("/seen", self._tell),
                web.get("/count", self._count),
                web.post("/forget", self._forget),
                web.post("/hang-up", self._hang_up),
            ]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _tell(self, request: web.Request) -> web.Response:
        silent = [{"waiting": len(one.waiting), "peak": one.peak} for one in self._silent]
        return web.json_response({**vars(self._seen), "silent": silent})

    async def _count(self, request: web.Request) -> web.Response:
        return web.json_response(len(self._seen.arrivals) + self._seen.again)

    async def _forget(self, request: web.Request) -> web.Response:
        # The lines hold the same object: it is emptied, not replaced.
        vars(self._seen).update(vars(Seen()))
        return web.json_response(None)

    async def _hang_up(self, request: web.Request) -> web.Response:
        for silence in self._silent:
            silence.hang_up()
        return web.json_response(None)


async def serve(*, delay: float, answering: int, silent: int) -> None:
    where = await Receivers(delay).open(answering=answering, silent=silent)
    print(json.dumps(where), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--delay", type=float, required=True, help="seconds")
    options.add_argument("--answering", type=int, required=True)
    options.add_argument("--silent", type=int, default=0)
    asyncio.run(serve(**vars(options.parse_args())))


if __name__ == "__main__":
    main()
