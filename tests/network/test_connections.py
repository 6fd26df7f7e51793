"""Test connections: reused within a pool, timed, closed when idle; and the sender's lifetime."""

import os
import queue
import threading
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from apps.webhooks.http_client import AttemptResult, Outcome, QueuedRequest, Sender, connection_pool
from tests.network import lab
from tests.network.certificates import Authority
from tests.network.lab import HEAD, Lab, serving
from tests.network.nameserver import Answer, Nameserver, resolves_to
from tests.network.sending import DEADLINE, POOL, queued, send

EMPTY = HEAD + b"Content-Length: 0\r\n\r\n"


def test_first_attempt__has_all_times_and_the_peer(
    sender: Sender, names: Nameserver, authority: Authority
) -> None:
    names.zone["timed.test"] = [resolves_to("127.0.0.1")]
    with serving(lab.responds(EMPTY), authority.context_for("timed.test")) as server:
        url = f"https://timed.test:{server.port}/"
        first, second = (send(sender, url, connection_key=POOL).result for _ in range(2))
        assert server.accepted == 1
    assert first.outcome is second.outcome is Outcome.OK
    times = [first.dns_ms, first.connect_ms, first.tls_ms]
    assert all(time_ms is not None and time_ms >= 0 for time_ms in times)
    assert first.first_byte_ms is not None
    assert sum(time_ms or 0 for time_ms in times) - 3 <= first.first_byte_ms <= first.total_ms
    # The second one reused the connection.
    assert (second.dns_ms, second.connect_ms, second.tls_ms) == (None, None, None)
    assert second.first_byte_ms is not None
    assert first.peer == second.peer == f"127.0.0.1:{server.port}"


def test_first_byte_ms__is_the_receivers_time(sender: Sender) -> None:
    def late(running: Lab, connection: lab.socket.socket) -> None:
        running.read_request(connection)
        running.is_over.wait(0.2)
        running.send(connection, EMPTY.replace(b"0", b"1"))
        running.is_over.wait(0.2)
        running.send(connection, b"x")

    with serving(late) as server:
        result = send(sender, f"http://127.0.0.1:{server.port}/").result
    assert result.first_byte_ms is not None
    assert 200 <= result.first_byte_ms < 350
    assert 400 <= result.total_ms < 600
    assert result.dns_ms is None
    assert result.tls_ms is None


def test_pools__do_not_share_connections(sender: Sender) -> None:
    with serving(lab.responds(EMPTY)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        for pool in (uuid4(), uuid4()):
            for _ in range(3):
                assert send(sender, url, connection_key=pool).result.outcome is Outcome.OK
        assert server.accepted == 2


def test_closed_idle_connection__costs_no_attempt(sender: Sender) -> None:
    """Also when it ends by a reset, after the next request was sent."""

    def once(running: Lab, connection: lab.socket.socket) -> None:
        running.read_request(connection)
        running.send(connection, EMPTY)
        running.read_request(connection)
        lab.reset(connection)

    with serving(once) as server:
        url = f"http://127.0.0.1:{server.port}/"
        results = [send(sender, url, connection_key=POOL).result for _ in range(3)]
        assert [result.outcome for result in results] == [Outcome.OK] * 3
        assert server.accepted == 3
        # The times are the new connection's, not those of the one that failed.
        assert [result.connect_ms is None for result in results] == [False] * 3


def test_closed_idle_connection__of_a_stopped_receiver(sender: Sender) -> None:
    """Record how the new connection failed, not the old one."""
    listener = lab.socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

    def leave() -> None:
        connection, _ = listener.accept()
        lab.Lab().read_request(connection)
        connection.sendall(EMPTY)
        listener.close()
        lab.Lab().read_request(connection)
        lab.reset(connection)

    leaver = threading.Thread(target=leave, daemon=True)
    leaver.start()
    first, second = (send(sender, url, connection_key=POOL).result for _ in range(2))
    leaver.join(timeout=5)
    assert first.outcome is Outcome.OK
    assert (second.outcome, second.phase) == (Outcome.CONNECTION, "connect")
    assert (second.error, second.peer) == ("Connection refused", "")


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_surplus_response__answers_no_request(sender: Sender, pause: float) -> None:
    """Whether it arrives with the response, or while the connection is idle."""

    def smuggle(running: Lab, connection: lab.socket.socket) -> None:
        while running.read_request(connection):
            surplus = EMPTY.replace(b"200 OK", b"500 Smuggled")
            running.send(connection, EMPTY if pause else EMPTY + surplus)
            running.is_over.wait(pause)
            if pause:
                running.send(connection, surplus)

    with serving(smuggle) as server:
        url = f"http://127.0.0.1:{server.port}/"
        for number in range(1, 4):
            result = send(sender, url, connection_key=POOL).result
            assert (result.outcome, result.status_code) == (Outcome.OK, 200)
            assert server.accepted == number
            time.sleep(2 * pause)


def test_closing_response__is_the_last_on_its_connection(sender: Sender) -> None:
    for last in (b"Connection: close\r\nContent-Length: 0\r\n\r\n", b"\r\nno length"):
        with serving(lab.responds(HEAD + last, and_closes=True)) as server:
            url = f"http://127.0.0.1:{server.port}/"
            results = [send(sender, url, connection_key=POOL).result for _ in range(2)]
            assert [result.outcome for result in results] == [Outcome.OK] * 2
            assert server.accepted == 2


def test_reset_of_a_new_connection__is_not_tried_again(sender: Sender) -> None:
    with serving(lab.resets_after(b"")) as server:
        result = send(sender, f"http://127.0.0.1:{server.port}/").result
        assert result.outcome is Outcome.CONNECTION
        assert (server.accepted, len(server.requests)) == (1, 1)


def test_request__is_sent_unchanged(sender: Sender) -> None:
    body = os.urandom(3_000_000)
    headers = {"webhook-id": "msg_1", "Content-Type": "application/json"}
    with serving(lab.responds(EMPTY)) as server:
        url = f"http://127.0.0.1:{server.port}/a%2Fb?x=1&y=%20#part"
        result = send(sender, url, body=body, headers=headers, timeout_seconds=10).result
    assert result.outcome is Outcome.OK
    head, _, sent = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /a%2Fb?x=1&y=%20 HTTP/1.1"
    assert sent == body
    assert dict(line.lower().split(": ", 1) for line in lines[1:]) == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "biolayer-webhooks/1",
        "accept": "*/*",
        "accept-encoding": "identity",
        "webhook-id": "msg_1",
        "content-type": "application/json",
        "content-length": str(len(body)),
    }


def test_request__has_no_cookie_and_no_proxy(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    raw = HEAD + b"Set-Cookie: session=1; Path=/\r\nContent-Length: 0\r\n\r\n"
    with serving(lab.responds(raw)) as server:
        for _ in range(2):
            result = send(sender, f"http://127.0.0.1:{server.port}/", connection_key=POOL).result
            assert result.outcome is Outcome.OK
        assert not any(b"cookie" in request.lower() for request in server.requests)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "no url at all",
        "ftp://127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://127.1/",
    ],
)
def test_url__that_cannot_be_called(sender: Sender, url: str) -> None:
    result = send(sender, url).result
    assert (result.outcome, result.phase) == (Outcome.INVALID, "")
    assert result.error.startswith("the request cannot be made: ")


@pytest.mark.parametrize(
    "headers", [{"X-Split": "a\r\nX-Evil: 1"}, {"X-Null": "a\x00"}, {"X-Split\r\nX-Evil": "1"}]
)
def test_headers__that_cannot_be_sent(sender: Sender, headers: dict[str, str]) -> None:
    with serving(lab.responds(EMPTY)) as server:
        result = send(sender, f"http://127.0.0.1:{server.port}/", headers=headers).result
        assert (result.outcome, result.phase) == (Outcome.INVALID, "")
        assert server.requests == []


@pytest.fixture
def new_sender() -> Callable[[], Sender]:
    """Return a function that makes a sender, which the test closes."""
    return lambda: Sender(allows_loopback=lambda: True)


def _all(sender: Sender, requests: list[QueuedRequest]) -> list[AttemptResult]:
    results: queue.SimpleQueue[AttemptResult] = queue.SimpleQueue()
    sender.send_all(requests, results.put)
    got = [results.get(timeout=10) for _ in requests]
    assert {result.token for result in got} == {request.token for request in requests}
    assert results.empty()
    return got


def test_idle_connections__are_closed(
    new_sender: Callable[[], Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_pool, "IDLE_SECONDS", 0.2)
    sender = new_sender()
    try:
        with serving(lab.responds(EMPTY)) as server:
            url = f"http://127.0.0.1:{server.port}/"
            _all(sender, [queued(url) for _ in range(20)])
            deadline = time.monotonic() + 3
            while len(sender._pool) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert len(sender._pool) == 0
            assert server.accepted == 20
            # A later request opens a new one.
            assert send(sender, url).result.outcome is Outcome.OK
    finally:
        sender.close()


def test_idle_connections__are_bounded(
    new_sender: Callable[[], Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_pool, "MAX_IDLE", 5)
    sender = new_sender()
    try:
        with serving(lab.responds(EMPTY)) as server:
            url = f"http://127.0.0.1:{server.port}/"
            results = _all(sender, [queued(url) for _ in range(50)])
            assert {result.outcome for result in results} == {Outcome.OK}
            assert len(sender._pool) == 5
            # Those used last stay open.
            connection_key = list(sender._pool._idle)[-1][0]
            before = server.accepted
            assert send(sender, url, connection_key=connection_key).result.connect_ms is None
            assert server.accepted == before
    finally:
        sender.close()


def test_close__aborts_running_attempts_and_reports_them(new_sender: Callable[[], Sender]) -> None:
    sender = new_sender()
    results: queue.SimpleQueue[AttemptResult] = queue.SimpleQueue()
    with serving(lab.silence) as server:
        asked = [queued(f"http://127.0.0.1:{server.port}/") for _ in range(10)]
        sender.send_all(asked, results.put)
        while len(server.requests) < len(asked):
            time.sleep(0.01)
        began = time.monotonic()
        sender.close()
        assert time.monotonic() - began < 0.5
    got = [results.get_nowait() for _ in asked]
    assert {result.token for result in got} == {request.token for request in asked}
    assert {result.outcome for result in got} == {Outcome.ABORTED}
    sender.close()
    # A later request is reported as well, once.
    late = queued("http://127.0.0.1:9/")
    sender.send_all([late], results.put)
    assert results.get_nowait().token == late.token
    assert results.empty()


def test_close__right_after_sending_reports_every_request(new_sender: Callable[[], Sender]) -> None:
    sender = new_sender()
    results: queue.SimpleQueue[AttemptResult] = queue.SimpleQueue()
    with serving(lab.silence) as server:
        asked = [queued(f"http://127.0.0.1:{server.port}/") for _ in range(300)]
        sender.send_all(asked, results.put)
        sender.close()
    got = [results.get_nowait() for _ in asked]
    assert {result.token for result in got} == {request.token for request in asked}
    assert {result.outcome for result in got} == {Outcome.ABORTED}
    assert results.empty()


def test_hanging_attempts__end_at_their_deadline_and_delay_no_other(sender: Sender) -> None:
    hung: queue.SimpleQueue[AttemptResult] = queue.SimpleQueue()
    with serving(lab.silence) as silent, serving(lab.responds(EMPTY)) as server:
        url = f"http://127.0.0.1:{silent.port}/"
        asked = [queued(url, connection_key=POOL) for _ in range(300)]
        began = time.monotonic()
        sender.send_all(asked, hung.put)
        healthy = send(sender, f"http://127.0.0.1:{server.port}/")
        assert healthy.result.outcome is Outcome.OK
        assert healthy.seconds < DEADLINE
        got = [hung.get(timeout=3) for _ in asked]
        # test_faults checks the duration of one attempt; here none waits for another.
        assert DEADLINE <= time.monotonic() - began <= DEADLINE + 3
    assert {(result.outcome, result.phase) for result in got} == {(Outcome.TIMEOUT, "headers")}


def test_failing_result_callback__harms_no_other_attempt(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    asked = threading.Event()

    def refuse(result: AttemptResult) -> None:
        asked.set()
        raise RuntimeError("refused")

    with serving(lab.responds(EMPTY)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        sender.send_all([queued(url)], refuse)
        assert asked.wait(timeout=5)
        assert send(sender, url).result.outcome is Outcome.OK
    assert "was not accepted" in caplog.text


def test_error_on_our_side__is_reported_as_a_result(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    unhashable = ["no tuple"]
    with serving(lab.responds(EMPTY)) as server:
        result = send(sender, f"http://127.0.0.1:{server.port}/", secrets=unhashable).result
    assert result.outcome is Outcome.INVALID
    assert "failed on our side" in caplog.text


def test_corrected_name__is_found_by_a_later_attempt(sender: Sender, names: Nameserver) -> None:
    """c-ares would cache "no address" for an hour."""
    with serving(lab.responds(EMPTY)) as server:
        url = f"https://corrected.test:{server.port}/"
        names.zone["corrected.test"] = [Answer()]
        assert send(sender, url).result.outcome is Outcome.DNS
        names.zone["corrected.test"] = [resolves_to("127.0.0.1")]
        time.sleep(0.2)
        # The other side speaks plain HTTP: reaching TLS is enough.
        assert send(sender, url).result.outcome is Outcome.TIMEOUT


def test_localhost__is_resolved_without_a_name_server(sender: Sender) -> None:
    with serving(lab.responds(EMPTY)) as server:
        result = send(sender, f"http://localhost:{server.port}/").result
    assert result.outcome is Outcome.OK
    assert result.dns_ms is not None
    assert result.peer == f"127.0.0.1:{server.port}"
