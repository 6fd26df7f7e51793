"""Record how far an attempt came and what it received, however it ended."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class AttemptTrace:
    """Hold the moment (`time.monotonic`) of each step of an attempt; None where it was not reached.

    Of a reused connection only `connected_at` and later steps are set.
    """

    started_at: float
    dns_started_at: float | None = None
    dns_ended_at: float | None = None
    connect_started_at: float | None = None
    tls_started_at: float | None = None
    connected_at: float | None = None
    head_received_at: float | None = None
    peer: str = ""
    # False when the connection failed before the whole request was written.
    is_request_sent: bool = True
    # The response, from `head_received_at` on. Header names are in lower case; of a repeated one
    # the last value counts.
    status_code: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    # False if it was cut off: by the receiver, by the deadline, or at the bound of what we read.
    is_complete: bool = False

    @property
    def is_reused(self) -> bool:
        return self.connected_at is not None and self.connect_started_at is None

    @property
    def phase(self) -> str:
        """Return the current step: dns, connect, tls, request, headers or body; empty before."""
        if self.head_received_at is not None:
            return "body"
        if self.connected_at is not None:
            return "headers" if self.is_request_sent else "request"
        if self.tls_started_at is not None:
            return "tls"
        if self.connect_started_at is not None or self.dns_ended_at is not None:
            return "connect"
        return "dns" if self.dns_started_at is not None else ""

    def restart(self) -> None:
        """Clear what belongs to the connection: another one is tried within the same attempt."""
        self.dns_started_at = self.dns_ended_at = self.connect_started_at = None
        self.tls_started_at = self.connected_at = None
        self.peer, self.is_request_sent = "", True

    def dns_ms(self) -> int | None:
        return _milliseconds(self.dns_started_at, self.dns_ended_at)

    def connect_ms(self) -> int | None:
        return _milliseconds(self.connect_started_at, self.tls_started_at or self.connected_at)

    def tls_ms(self) -> int | None:
        return _milliseconds(self.tls_started_at, self.connected_at)

    def first_byte_ms(self) -> int | None:
        return _milliseconds(self.started_at, self.head_received_at)


def _milliseconds(start: float | None, end: float | None) -> int | None:
    return None if start is None or end is None else round((end - start) * 1000)
