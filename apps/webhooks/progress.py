"""How far an attempt has come, and what it has received, whatever then stops it."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """How far an attempt has come: the moment (`time.monotonic`) of each step, None if not reached.

    Of a reused connection only `connected` and what follows it.
    """

    began: float
    resolving: float | None = None
    resolved: float | None = None
    connecting: float | None = None
    securing: float | None = None
    connected: float | None = None
    answered: float | None = None
    peer: str = ""
    is_sent: bool = True
    # The answer, from `answered` on. Names of headers are in lower case; of a repeated one the last.
    status_code: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    received: bytearray = field(default_factory=bytearray)
    # Not if it was cut off: by the receiver, by the deadline, or at the bound of what we read.
    is_whole: bool = False

    @property
    def is_reused(self) -> bool:
        return self.connected is not None and self.connecting is None

    @property
    def phase(self) -> str:
        """The step that is under way: dns, connect, tls, request, headers or body; empty before."""
        if self.answered is not None:
            return "body"
        if self.connected is not None:
            return "headers" if self.is_sent else "request"
        if self.securing is not None:
            return "tls"
        if self.connecting is not None or self.resolved is not None:
            return "connect"
        return "dns" if self.resolving is not None else ""

    def starts_over(self) -> None:
        """Another connection is tried; the attempt's clock runs on."""
        self.resolving = self.resolved = self.connecting = None
        self.securing = self.connected = None
        self.peer, self.is_sent = "", True

    def dns_ms(self) -> int | None:
        return _span(self.resolving, self.resolved)

    def connect_ms(self) -> int | None:
        return _span(self.connecting, self.securing or self.connected)

    def tls_ms(self) -> int | None:
        return _span(self.securing, self.connected)

    def first_byte_ms(self) -> int | None:
        return _span(self.began, self.answered)


def _span(start: float | None, end: float | None) -> int | None:
    return None if start is None or end is None else round((end - start) * 1000)
