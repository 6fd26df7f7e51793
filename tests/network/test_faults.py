"""Test faults of receivers and networks: each attempt ends in time, with its reason recorded."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from apps.webhooks.http_client import Outcome, Sender
from apps.webhooks.http_client.response import MAX_EXCERPT_BYTES
from tests.network import lab
from tests.network.certificates import Authority
from tests.network.lab import HEAD, serving
from tests.network.nameserver import NOWHERE, SILENCE, Nameserver, resolves_to
from tests.network.sending import DEADLINE, Sent, send

GRACE = 0.5


@dataclass(frozen=True)
class Case:
    """Describe a fault and the result that it must have."""

    fault: lab.Fault
    outcome: Outcome
    phase: str
    status: int | None = None
    body: bytes = b"{}"


PLAIN = {
    "reset before the response": Case(lab.resets_after(b""), Outcome.CONNECTION, "headers"),
    "reset mid-header": Case(lab.resets_after(HEAD + b"X-He"), Outcome.CONNECTION, "headers"),
    "reset mid-body": Case(
        lab.resets_after(HEAD + b"Content-Length: 100\r\n\r\nhalf"),
        Outcome.CONNECTION,
        "body",
        200,
    ),
    "reset of a body without a length": Case(
        lab.resets_after(HEAD + b"\r\nhalf"), Outcome.CONNECTION, "body", 200
    ),
    "cut mid-body": Case(
        lab.responds(HEAD + b"Content-Length: 100\r\n\r\nhalf", and_closes=True),
        Outcome.CONNECTION,
        "body",
        200,
    ),
    "cut mid-chunk": Case(
        lab.responds(HEAD + b"Transfer-Encoding: chunked\r\n\r\n40\r\nhalf", and_closes=True),
        Outcome.CONNECTION,
        "body",
        200,
    ),
    "closed before the response": Case(
        lab.responds(b"", and_closes=True), Outcome.CONNECTION, "headers"
    ),
    "drip of a header": Case(lab.drips(HEAD + b"X-Drip: "), Outcome.TIMEOUT, "headers"),
    "drip of a body": Case(
        lab.drips(HEAD + b"Content-Length: 9999\r\n\r\n"), Outcome.TIMEOUT, "body", 200
    ),
    "silence": Case(lab.silence, Outcome.TIMEOUT, "headers"),
    "deafness to a large request": Case(
        lab.deafness, Outcome.TIMEOUT, "request", body=bytes(20_000_000)
    ),
    "10,000 headers": Case(lab.responds(lab.many_headers(10_000)), Outcome.CONNECTION, "headers"),
    "an endless header": Case(lab.floods(HEAD + b"X: ", lab.BLOCK), Outcome.CONNECTION, "headers"),
    "endless informational responses": Case(
        lab.floods(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), Outcome.CONNECTION, "headers"
    ),
    "no HTTP": Case(lab.responds(b"220 mail.example.com ESMTP\r\n"), Outcome.CONNECTION, "headers"),
}
SECURE = {
    "bad TLS": Case(lab.bad_handshake, Outcome.TLS, "tls"),
    "reset in the handshake": Case(lab.reset_handshake, Outcome.TLS, "tls"),
    "silence in the handshake": Case(lab.deafness, Outcome.TIMEOUT, "tls"),
    "no TLS": Case(lab.plain_speech, Outcome.TLS, "tls"),
}


def check(sent: Sent, case: Case) -> None:
    """Check that the attempt ended in time, for the right reason."""
    result = sent.result
    assert (result.outcome, result.phase, result.status_code) == (
        case.outcome,
        case.phase,
        case.status,
    ), result
    assert sent.seconds <= DEADLINE + GRACE
    if case.outcome is Outcome.TIMEOUT:
        assert sent.seconds >= DEADLINE
        assert result.error == "no complete response within 1 s"
    assert result.error
    assert result.total_ms <= (DEADLINE + GRACE) * 1000


@pytest.mark.parametrize("name", PLAIN)
def test_fault(name: str, sender: Sender) -> None:
    case = PLAIN[name]
    with serving(case.fault) as server:
        check(send(sender, f"http://127.0.0.1:{server.port}/", body=case.body), case)
        assert server.accepted == 1


@pytest.mark.parametrize("name", SECURE)
def test_fault_of_tls(name: str, sender: Sender) -> None:
    case = SECURE[name]
    with serving(case.fault) as server:
        check(send(sender, f"https://127.0.0.1:{server.port}/"), case)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Reserve a port without listening on it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_refused_connection(sender: Sender, closed_port: int) -> None:
    sent = send(sender, f"http://127.0.0.1:{closed_port}/")
    check(sent, Case(lab.silence, Outcome.CONNECTION, "connect"))
    assert sent.result.error == "Connection refused"


@pytest.mark.parametrize(
    ("certified", "days", "words"),
    [
        ("other.test", 1, "Hostname mismatch"),
        ("receiver.test", -1, "certificate has expired"),
    ],
)
def test_wrong_certificate(
    *,
    certified: str,
    days: int,
    words: str,
    sender: Sender,
    names: Nameserver,
    authority: Authority,
) -> None:
    names.zone["receiver.test"] = [resolves_to("127.0.0.1")]
    with serving(
        lab.responds(HEAD + b"\r\n"), authority.context_for(certified, days=days)
    ) as server:
        sent = send(sender, f"https://receiver.test:{server.port}/")
        assert server.requests == []
    check(sent, Case(lab.silence, Outcome.TLS, "tls"))
    assert words in sent.result.error


def test_certificate__of_an_unknown_authority(authority: Authority, names: Nameserver) -> None:
    distrusting = Sender(allows_loopback=lambda: True)
    try:
        with serving(lab.silence, authority.context_for("127.0.0.1")) as server:
            sent = send(distrusting, f"https://127.0.0.1:{server.port}/")
            assert server.requests == []
    finally:
        distrusting.close()
    check(sent, Case(lab.silence, Outcome.TLS, "tls"))
    assert "unable to get local issuer certificate" in sent.result.error


def test_name_server__that_is_silent(sender: Sender, names: Nameserver) -> None:
    names.zone["slow.test"] = [SILENCE]
    sent = send(sender, "https://slow.test/")
    check(sent, Case(lab.silence, Outcome.TIMEOUT, "dns"))


def test_name__that_does_not_exist(sender: Sender, names: Nameserver) -> None:
    names.zone["nowhere.test"] = [NOWHERE]
    sent = send(sender, "https://nowhere.test/")
    check(sent, Case(lab.silence, Outcome.DNS, "dns"))
    assert sent.result.error == "the host name could not be resolved: Domain name not found"


def test_body__of_a_gigabyte_is_not_read(sender: Sender) -> None:
    head = HEAD + b"Content-Length: %d\r\n\r\n" % lab.GIGABYTE
    flood = lab.floods(head, lab.BLOCK, times=lab.GIGABYTE // len(lab.BLOCK))
    with serving(flood) as server:
        sent = send(sender, f"http://127.0.0.1:{server.port}/")
    assert (sent.result.outcome, sent.result.status_code) == (Outcome.OK, 200)
    assert sent.seconds <= DEADLINE + GRACE
    assert sent.result.response_excerpt == "x" * MAX_EXCERPT_BYTES
    # No more than the buffers of the kernel and one read.
    assert server.sent < 20_000_000


def test_gzip_bomb__is_not_inflated(sender: Sender) -> None:
    bomb = lab.gzip_bomb()
    with serving(lab.responds(bomb)) as server:
        sent = send(sender, f"http://127.0.0.1:{server.port}/")
        assert b"\r\naccept-encoding: identity\r\n" in server.requests[0].lower()
    assert sent.result.outcome is Outcome.OK
    assert sent.seconds <= DEADLINE + GRACE
    assert len(sent.result.response_excerpt.encode()) <= MAX_EXCERPT_BYTES
    assert "\x00" not in sent.result.response_excerpt
