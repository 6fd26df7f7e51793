"""Describe a request to send and the result of the attempt."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class Outcome(StrEnum):
    """Name how an attempt ended. Only `ok` is a success."""

    OK = "ok"  # any 2xx whose body ended, or reached the bound of what we read
    STATUS = "status"  # a response other than 2xx; redirects are not followed
    TIMEOUT = "timeout"
    ADDRESS_DENIED = "address_denied"
    DNS = "dns"
    TLS = "tls"
    CONNECTION = "connection"  # refused, reset, cut off, or not HTTP
    INVALID = "invalid"  # a request that cannot be made at all
    UNREADABLE = "unreadable"  # our own secrets cannot be decrypted: not the receiver's fault
    ABORTED = "aborted"  # by us, since the sender is closed: it says nothing about the receiver


# Outcomes that do not count for the receiver's health.
INTERNAL_OUTCOMES = {Outcome.UNREADABLE, Outcome.ABORTED}


class Unreadable(Exception):
    """A secret that an attempt needs cannot be decrypted; the message says which."""


class Request(NamedTuple):
    """Describe one POST request."""

    # Which idle connections it may use: those opened for the same key (and host). One key for each
    # organisation and origin.
    connection_key: UUID
    url: str
    headers: Mapping[str, str]
    body: bytes
    # 1 to 30: one deadline over DNS, connect, TLS, headers and body.
    timeout_seconds: float
    # Values to be redacted from what is stored of the response.
    secrets: tuple[str, ...] = ()


class QueuedRequest(NamedTuple):
    """Describe an attempt that waits for the sender.

    The sender calls `build`: signing hundreds of requests takes time, which then passes while the
    drain waits for the database. `build` may raise `Unreadable`.
    """

    # The claim token, which the result must carry.
    token: UUID
    build: Callable[[], Request]


class AttemptResult(NamedTuple):
    """Describe how the attempt claimed under `token` ended. Times are whole milliseconds."""

    token: UUID
    outcome: Outcome
    total_ms: int
    # None: not reached, or a connection was reused.
    dns_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    # From the start of the attempt to the end of the response's head.
    first_byte_ms: int | None = None
    # "93.184.216.34:443", as connected.
    peer: str = ""
    # Where a failed attempt ended: dns, connect, tls, request, headers or body.
    phase: str = ""
    status_code: int | None = None
    error: str = ""
    # As `Retry-After` requests, 0 to 86,400; None: missing or not understood.
    retry_after_seconds: float | None = None
    response_headers: dict[str, str] = {}
    response_excerpt: str = ""
