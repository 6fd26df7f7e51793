"""Run a mail server on loopback: it speaks enough SMTP (RFC 5321) for Django, and keeps mails."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class MailServer:
    """Hold what was received, and what to do before a mail is accepted."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    # Called with the number of mails before; its result is the reply to the mail's content.
    on_mail: Callable[[int], str] = lambda _: "250 kept"
    # The reply to a recipient.
    on_recipient: Callable[[], str] = lambda: "250 ok"


@contextmanager
def serving() -> Iterator[MailServer]:
    """Run a mail server while the block runs."""
    state = MailServer()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            # A killed sender closes its connection at any time.
            with suppress(ConnectionError):
                self._serve()

        def _serve(self) -> None:
            self._say("220 test")
            while line := self.rfile.readline():
                command = line.strip().upper()
                if command == b"DATA":
                    self._say("354 go on")
                    self._keep(b"".join(iter(self.rfile.readline, b".\r\n")))
                elif command.startswith(b"RCPT"):
                    self._say(state.on_recipient())
                elif command == b"QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 ok")

        def _keep(self, content: bytes) -> None:
            mail = message_from_bytes(content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            reply = state.on_mail(len(state.mails))
            if reply.startswith("2"):
                state.mails.append(mail)
            self._say(reply)

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
