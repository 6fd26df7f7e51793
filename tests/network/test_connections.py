"""Connections: kept and reused within a pool, timed, closed when idle; and the sender's own life."""

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
from tests.network.nameserver import Answer, Nameserver, leads_to
from tests.network.sending import DEADLINE, POOL, queued, send

EMPTY = HEAD + b"Content-Length: 0\r\n\r\n"


def test_a_first_attempt__has_all_times_and_the_peer(
    sender: Sender, names: Nameserver, authority: Authority
) -> None:
    names.zone["timed.test"] = [leads_to("127.0.0.1")]
    with serving(lab.answers(EMPTY), authority.context_for("timed.test")) as server:
        url = f"https://timed.test:{server.port}/"
        first, second = (send(sender, url, pool_id=POOL).result for _ in range(2))
        assert server.accepted == 1
    assert first.outcome is second.outcome is Outcome.OK
    times = [first.dns_ms, first.connect_ms, first.tls_ms]
    assert all(one is not None and one >= 0 for one in times)
    assert first.first_byte_ms is not None
    assert sum(one or 0 for one in times) - 3 <= first.first_byte_ms <= first.total_ms
    # The second found the connection open.
    assert (second.dns_ms, second.connect_ms, second.tls_ms) == (None, None, None)
    assert second.first_byte_ms is not None
    assert first.peer == second.peer == f"127.0.0.1:{server.port}"


def test_the_answers_time__is_the_receivers(sender: Sender) -> None:
    def late(running: Lab, connection: lab.socket.socket) -> None:
        running.take(connection)
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


def test_pools_do_not_share_connections(sender: Sender) -> None:
    with serving(lab.answers(EMPTY)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        for pool in (uuid4(), uuid4()):
            for _ in range(3):
                assert send(sender, url, pool_id=pool).result.outcome is Outcome.OK
        assert server.accepted == 2


def test_a_kept_connection_that_was_closed__costs_no_attempt(sender: Sender) -> None:
    """Also when its end comes as a reset, and only after the next request was sent."""

    def once(running: Lab, connection: lab.socket.socket) -> None:
        running.take(connection)
        running.send(connection, EMPTY)
        running.take(connection)
        lab.reset(connection)

    with serving(once) as server:
        url = f"http://127.0.0.1:{server.port}/"
        results = [send(sender, url, pool_id=POOL).result for _ in range(3)]
        assert [one.outcome for one in results] == [Outcome.OK] * 3
        assert server.accepted == 3
        # The new connection's times are told, not those of the one that failed.
        assert [one.connect_ms is None for one in results] == [False] * 3


def test_a_kept_connection_that_was_closed_by_a_receiver_that_is_gone(sender: Sender) -> None:
    """What is recorded is how the new connection failed, not the old one."""
    listener = lab.socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

    def leave() -> None:
        connection, _ = listener.accept()
        lab.Lab().take(connection)
        connection.sendall(EMPTY)
        listener.close()
        lab.Lab().take(connection)
        lab.reset(connection)

    leaver = threading.Thread(target=leave, daemon=True)
    leaver.start()
    first, second = (send(sender, url, pool_id=POOL).result for _ in range(2))
    leaver.join(timeout=5)
    assert first.outcome is Outcome.OK
    assert (second.outcome, second.phase) == (Outcome.CONNECTION, "connect")
    assert (second.error, second.peer) == ("Connection refused", "")


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_more_than_was_asked_for__is_nobodys_answer(sender: Sender, pause: float) -> None:
    """Whether it comes together with the answer, or while the connection is kept."""

    def smuggle(running: Lab, connection: lab.socket.socket) -> None:
        while running.take(connection):
            surplus = EMPTY.replace(b"200 OK", b"500 Smuggled")
            running.send(connection, EMPTY if pause else EMPTY + surplus)
            running.is_over.wait(pause)
            if pause:
                running.send(connection, surplus)

    with serving(smuggle) as server:
        url = f"http://127.0.0.1:{server.port}/"
        for number in range(1, 4):
            result = send(sender, url, pool_id=POOL).result
            assert (result.outcome, result.status_code) == (Outcome.OK, 200)
            assert server.accepted == number
            time.sleep(2 * pause)


def test_an_answer_that_ends_its_connection__is_the_last_on_it(sender: Sender) -> None:
    for last in (b"Connection: close\r\nContent-Length: 0\r\n\r\n", b"\r\nno length"):
        with serving(lab.answers(HEAD + last, and_closes=True)) as server:
            url = f"http://127.0.0.1:{server.port}/"
            results = [send(sender, url, pool_id=POOL).result for _ in range(2)]
            assert [one.outcome for one in results] == [Outcome.OK] * 2
            assert server.accepted == 2


def test_a_new_connection_that_is_reset__is_not_tried_again(sender: Sender) -> None:
    with serving(lab.resets_after(b"")) as server:
        result = send(sender, f"http://127.0.0.1:{server.port}/").result
        assert result.outcome is Outcome.CONNECTION
        assert (server.accepted, len(server.requests)) == (1, 1)


def test_the_request_goes_out_as_given(sender: Sender) -> None:
    body = os.urandom(3_000_000)
    headers = {"webhook-id": "msg_1", "Content-Type": "application/json"}
    with serving(lab.answers(EMPTY)) as server:
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


def test_no_cookie_and_no_proxy(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    raw = HEAD + b"Set-Cookie: session=1; Path=/\r\nContent-Length: 0\r\n\r\n"
    with serving(lab.answers(raw)) as server:
        for _ in range(2):
            result = send(sender, f"http://127.0.0.1:{server.port}/", pool_id=POOL).result
            assert result.outcome is Outcome.OK
        assert not any(b"cookie" in one.lower() for one in server.requests)


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
def test_a_url_that_cannot_be_called(sender: Sender, url: str) -> None:
    result = send(sender, url).result
    assert (result.outcome, result.phase) == (Outcome.INVALID, "")
    assert result.error.startswith("the request cannot be made: ")


@pytest.mark.parametrize(
    "headers", [{"X-Split": "a\r\nX-Evil: 1"}, {"X-Null": "a\x00"}, {"X-Split\r\nX-Evil": "1"}]
)
def test_headers_that_cannot_be_sent(sender: Sender, headers: dict[str, str]) -> None:
    with serving(lab.answers(EMPTY)) as server:
        result = send(sender, f"http://127.0.0.1:{server.port}/", headers=headers).result
        assert (result.outcome, result.phase) == (Outcome.INVALID, "")
        assert server.requests == []


@pytest.fixture
def own() -> Callable[[], Sender]:
    """A sender of the test's own, which the test closes."""
    return lambda: Sender(allows_loopback=lambda: True)


def _all(sender: Sender, orders: list[QueuedRequest]) -> list[AttemptResult]:
    results: queue.SimpleQueue[AttemptResult] = queue.SimpleQueue()
    sender.send_all(orders, results.put)
    got = [results.get(timeout=10) for _ in orders]
    assert {one.token for one in got} == {one.token for one in orders}
    assert results.empty()
    return got


def test_idle_connections_go_away(
    own: Callable[[], Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_pool, "IDLE_SECONDS", 0.2)
    sender = own()
    try:
        with serving(lab.answers(EMPTY)) as server:
            url = f"http://127.0.0.1:{server.port}/"
            _all(sender, [queued(url) for _ in range(20)])
            deadline = time.monotonic() + 3
            while len(sender._pool) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert len(sender._pool) == 0
            assert server.accepted == 20
            # And one that is wanted again is opened again.
            assert send(sender, url).result.outcome is Outcome.OK
    finally:
        sender.close()


def test_no_more_idle_connections_are_kept_than_the_bound(
    own: Callable[[], Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_pool, "MAX_IDLE", 5)
    sender = own()
    try:
        with serving(lab.answers(EMPTY)) as server:
            url = f"http://127.0.0.1:{server.port}/"
            results = _all(sender, [queued(url) for _ in range(50)])
            assert {one.outcome for one in results} == {Outcome.OK}
            assert len(sender._pool) == 5
            # The last used stay.
            kept = list(sender._pool._idle)[-1][0]
            before = server.accepted
            assert send(sender, url, pool_id=kept).result.connect_ms is None
            assert server.accepted == before
    finally:
        sender.close()


def test_close__aborts_what_is_under_way_and_says_so(own: Callable[[], Sender]) -> None:
    sender = own()
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
    assert {one.token for one in got} == {one.token for one in asked}
    assert {one.outcome for one in got} == {Outcome.ABORTED}
    sender.close()
    # Whoever comes too late is told as well, once.
    late = queued("http://127.0.0.1:9/")
    sender.send_all([late], results.put)
    assert results.get_nowait().token == late.token
    assert results.empty()


def test_close__right_after_sending_tells_every_request(own: Callable[[], Sender]) -> None:
    sender = own()
    results: queue.SimpleQueue[AttemptResult] = queue.SimpleQueue()
    with serving(lab.silence) as server:
        asked = [queued(f"http://127.0.0.1:{server.port}/") for _ in range(300)]
        sender.send_all(asked, results.put)
        sender.close()
    got = [results.get_nowait() for _ in asked]
    assert {one.token for one in got} == {one.token for one in asked}
    assert {one.outcome for one in got} == {Outcome.ABORTED}
    assert results.empty()


def test_hundreds_that_hang__end_at_their_deadline_and_hold_up_nobody(sender: Sender) -> None:
    hung: queue.SimpleQueue[AttemptResult] = queue.SimpleQueue()
    with serving(lab.silence) as silent, serving(lab.answers(EMPTY)) as server:
        url = f"http://127.0.0.1:{silent.port}/"
        asked = [queued(url, pool_id=POOL) for _ in range(300)]
        began = time.monotonic()
        sender.send_all(asked, hung.put)
        healthy = send(sender, f"http://127.0.0.1:{server.port}/")
        assert healthy.result.outcome is Outcome.OK
        assert healthy.seconds < DEADLINE
        got = [hung.get(timeout=3) for _ in asked]
        # What one attempt may take is test_faults' affair; here none waits for another.
        assert DEADLINE <= time.monotonic() - began <= DEADLINE + 3
    assert {(one.outcome, one.phase) for one in got} == {(Outcome.TIMEOUT, "headers")}


def test_a_result_that_is_not_taken__harms_nobody(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    asked = threading.Event()

    def refuse(result: AttemptResult) -> None:
        asked.set()
        raise RuntimeError("no room")

    with serving(lab.answers(EMPTY)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        sender.send_all([queued(url)], refuse)
        assert asked.wait(timeout=5)
        assert send(sender, url).result.outcome is Outcome.OK
    assert "was not accepted" in caplog.text


def test_a_result_that_cannot_be_made__is_told_all_the_same(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    unhashable = ["no tuple"]
    with serving(lab.answers(EMPTY)) as server:
        result = send(sender, f"http://127.0.0.1:{server.port}/", secrets=unhashable).result
    assert result.outcome is Outcome.INVALID
    assert "failed on our side" in caplog.text


def test_a_name_that_was_mended__is_found_by_a_later_attempt(
    sender: Sender, names: Nameserver
) -> None:
    """c-ares would keep "no address" for an hour."""
    with serving(lab.answers(EMPTY)) as server:
        url = f"https://mended.test:{server.port}/"
        names.zone["mended.test"] = [Answer()]
        assert send(sender, url).result.outcome is Outcome.DNS
        names.zone["mended.test"] = [leads_to("127.0.0.1")]
        time.sleep(0.2)
        # Plain HTTP on the other side: to come as far as TLS is enough.
        assert send(sender, url).result.outcome is Outcome.TIMEOUT


def test_localhost_is_known_without_a_name_server(sender: Sender) -> None:
    with serving(lab.answers(EMPTY)) as server:
        result = send(sender, f"http://localhost:{server.port}/").result
    assert result.outcome is Outcome.OK
    assert result.dns_ms is not None
    assert result.peer == f"127.0.0.1:{server.port}"
