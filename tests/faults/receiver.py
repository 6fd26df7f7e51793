"""Run a product backend's receiver of callbacks, which verifies what it receives."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True)
class Callback:
    """Hold one request. `fault` says why it is not authentic; None when it is."""

    webhook_id: str
    body: bytes
    fault: str | None

    @property
    def envelope(self) -> dict[str, Any]:
        envelope: dict[str, Any] = json.loads(self.body)
        return envelope

    @property
    def event(self) -> tuple[str, int]:
        """Return the event that it is about: task and sequence."""
        data = self.envelope["data"]
        return data["task_id"], data["sequence"]


@dataclass
class Receiver:
    """Verify each request with a third-party library, and keep it."""

    secret: str
    token: str
    responds_after: float = 0.0
    url: str = ""
    _callbacks: list[Callback] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @staticmethod
    @contextmanager
    def listening(*, secret: str, token: str, responds_after: float = 0.0) -> Iterator["Receiver"]:
        """Run a receiver on a free port while the block runs.

        `responds_after` seconds pass between storing a request and responding, so that a killed
        sender has some attempts under way.
        """
        receiver = Receiver(secret, token, responds_after)
        with _Server(("127.0.0.1", 0), _handler_of(receiver)) as server:
            receiver.url = f"http://127.0.0.1:{server.server_port}/callbacks"
            thread = threading.Thread(target=server.serve_forever, name="receiver", daemon=True)
            thread.start()
            try:
                yield receiver
            finally:
                server.shutdown()
                thread.join()

    def handoff(self, **changes: Any) -> dict[str, Any]:
        """Return the part of a contract that directs a task's callbacks here."""
        return {
            "callback_url": self.url,
            "callback_auth": {"type": "bearer", "token": self.token},
            "retry_policy": {"max_retries": 6, "backoff_seconds": 1},
            **changes,
        }

    def take(self, headers: dict[str, str], body: bytes) -> bool:
        """Store a request. Return whether it is authentic."""
        fault = self._fault(headers, body)
        with self._guard:
            self._callbacks.append(Callback(headers.get("webhook-id", ""), body, fault))
        return fault is None

    def _fault(self, headers: dict[str, str], body: bytes) -> str | None:
        if headers.get("authorization") != f"Bearer {self.token}":
            return "the bearer token is missing or wrong"
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError as error:
            return str(error)
        return None

    @property
    def callbacks(self) -> list[Callback]:
        """Return all requests, in the order received."""
        with self._guard:
            return list(self._callbacks)

    def by_event(self) -> dict[tuple[str, int], list[Callback]]:
        """Return the requests of each event (task, sequence): several where it was sent again."""
        by_event: dict[tuple[str, int], list[Callback]] = {}
        for callback in self.callbacks:
            by_event.setdefault(callback.event, []).append(callback)
        return by_event


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # All of a drain's attempts may connect at once.
    request_queue_size = 512


def _handler_of(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = 204 if receiver.take(headers, body) else 401
            time.sleep(receiver.responds_after)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def handle(self) -> None:
            # A sender that these tests killed closes the connection.
            with suppress(ConnectionError):
                super().handle()

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    return Handler
