"""Test every status: 2xx is a success, and nothing else."""

from collections.abc import Iterator
from http import HTTPStatus

import pytest

from apps.webhooks.http_client import Outcome, Sender
from tests.network import lab
from tests.network.lab import Lab, serving
from tests.network.sending import POOL, send

INFORMATIONAL = [status for status in range(100, 200) if status != HTTPStatus.SWITCHING_PROTOCOLS]
FINAL = [HTTPStatus.SWITCHING_PROTOCOLS, *range(200, 600)]
BODILESS = {101, 204, 304}
BODY = b"what the receiver has to say"


def by_path(running: Lab, connection: lab.socket.socket) -> None:
    """Respond as the path says: `/404` with 404; `/103/204` with 103 and then 204."""
    while request := running.read_request(connection):
        path = request.split(b" ")[1].decode()
        statuses = [int(part) for part in path.strip("/").split("/")]
        for status in statuses:
            running.send(connection, _response(status, running.port))
        if statuses[-1] < 200:
            return


def _response(status: int, port: int) -> bytes:
    lines = [f"HTTP/1.1 {status} Reason"]
    if 300 <= status < 400:
        lines.append(f"Location: http://127.0.0.1:{port}/200")
    if status < 200 or status in BODILESS:
        return "\r\n".join([*lines, "", ""]).encode()
    return "\r\n".join([*lines, f"Content-Length: {len(BODY)}", "", ""]).encode() + BODY


@pytest.fixture(scope="module")
def server() -> Iterator[Lab]:
    with serving(by_path) as running:
        yield running


@pytest.mark.parametrize("status", FINAL)
def test_final_status(status: int, sender: Sender, server: Lab) -> None:
    before = len(server.requests)
    result = send(sender, f"http://127.0.0.1:{server.port}/{status}", connection_key=POOL).result
    expected = Outcome.OK if 200 <= status < 300 else Outcome.STATUS
    assert (result.outcome, result.status_code) == (expected, status)
    assert (result.phase, result.error) == ("", "")
    assert result.response_excerpt == ("" if status in BODILESS else BODY.decode())
    # No redirect is followed, nothing is sent twice.
    assert len(server.requests) == before + 1


@pytest.mark.parametrize("status", INFORMATIONAL)
def test_informational_status__is_skipped(status: int, sender: Sender, server: Lab) -> None:
    """The response after it counts; without one the attempt failed."""
    base = f"http://127.0.0.1:{server.port}/{status}"
    for final, expected in [(204, Outcome.OK), (500, Outcome.STATUS)]:
        result = send(sender, f"{base}/{final}").result
        assert (result.outcome, result.status_code) == (expected, final)
    result = send(sender, base).result
    assert (result.outcome, result.phase) == (Outcome.CONNECTION, "headers")
    assert result.status_code is None


@pytest.mark.parametrize(
    ("status", "outcome", "code"),
    [
        ("600", Outcome.STATUS, 600),
        ("999", Outcome.STATUS, 999),
        ("099", Outcome.STATUS, 99),
        ("42", Outcome.CONNECTION, None),
        ("20x", Outcome.CONNECTION, None),
        ("-200", Outcome.CONNECTION, None),
    ],
)
def test_status__beyond_http(
    status: str, outcome: Outcome, code: int | None, sender: Sender
) -> None:
    """Three digits are a status; anything else is not HTTP."""
    raw = f"HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\n\r\n".encode()
    with serving(lab.responds(raw)) as running:
        result = send(sender, f"http://127.0.0.1:{running.port}/").result
    assert (result.outcome, result.status_code) == (outcome, code)


def test_long_body__counts_by_its_status(sender: Sender) -> None:
    for status, expected in [(200, Outcome.OK), (500, Outcome.STATUS)]:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: 9999999\r\n\r\n".encode()
        with serving(lab.floods(head, lab.BLOCK, times=100)) as running:
            result = send(sender, f"http://127.0.0.1:{running.port}/").result
        assert (result.outcome, result.status_code) == (expected, status)
