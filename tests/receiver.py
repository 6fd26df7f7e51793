"""Run a webhook receiver on loopback: a real HTTP server with scripted replies."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Receiver:
    url: str
    received: list[Received] = field(default_factory=list)
    # The reply to the n-th request (from 0); by default 204.
    reply: Callable[[int], Reply] = lambda _: Reply()
    # The reply to a request by its content; None: use `reply`.
    reply_to: Callable[[Received], Reply | None] = lambda _: None


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver while the block runs."""
    receiver = Receiver(url="")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Received(self.path, headers, body)
            scripted = receiver.reply_to(request)
            receiver.received.append(request)
            reply = scripted or receiver.reply(len(receiver.received) - 1)
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            # A client that has read enough closes the connection.
            with suppress(ConnectionError):
                self.wfile.write(reply.body)

        do_GET = do_POST  # noqa: N815 - the server's own naming

        def log_message(self, *args: object) -> None:
            """Log nothing: the test reads `received`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
