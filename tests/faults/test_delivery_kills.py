"""Kill a sender of webhooks repeatedly while its receiver fails: nothing is lost or out of order.

The worker is a real process, killed by `kill -9` during its work. What arrives twice has the same
id. The rest happens in real time: the killed worker's claims end after 17 s (a timeout of 2 s and
the lease's margin). Repeat a run with `FAULTS_SEED=<the printed seed>`.
"""

import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import orjson
import pytest
from django.db import connection
from django.db.models.functions import Now

from apps.base import clock, rows
from apps.base.ids import new_id
from apps.webhooks import changes
from apps.webhooks.models import Attempt, Delivery, Origin
from apps.webhooks.outbound_event import OutboundEvent
from tests.destinations import counts, endpoint
from tests.factories import House
from tests.faults.installation import PROJECT, eventually, say

TASKS = 500
EVENTS_EACH = 9
EMITTED_WITHIN_SECONDS = 30.0
WORKER = "tests.faults.delivery_worker"
KILLS = 5
# The last kill is early enough for its claims to end while events are still emitted.
KILLED_WITHIN_SECONDS = 20.0
A_BACKLOG = 20
# A kill repeats at most the attempts under way, and an origin has 64 slots. On an idle machine
# few are used: `STRICT=1` allows 0.5 % of the events.
MAX_REPEATED = TASKS * EVENTS_EACH // 200 if "STRICT" in os.environ else KILLS * 64
# 30 % of the requests: three of each ten, so that the breaker never sees seven failures in ten.
FAILURES_OF_TEN = (500, 503, None)
# A fourth failure of one event would cost this test half a minute.
MAX_FAILURES = 3

Event = tuple[str, int]


@dataclass(frozen=True)
class Request:
    """Hold one request; `status` is its response's, None for a reset."""

    event: Event
    webhook_id: str
    body: bytes
    status: int | None


@dataclass
class Receiver:
    """Fail at random, three times in ten."""

    chance: random.Random
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    _failures: Counter[Event] = field(default_factory=Counter)
    _statuses: list[int | None] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def take(self, webhook_id: str, body: bytes) -> int | None:
        """Store a request. Return the status to respond with; None for a reset."""
        data = orjson.loads(body)["data"]
        event = (data["task_id"], data["sequence"])
        with self._guard:
            status = self._next(event)
            self.requests.append(Request(event, webhook_id, body, status))
        return status

    def _next(self, event: Event) -> int | None:
        if not self._statuses:
            self._statuses = [*FAILURES_OF_TEN, *[204] * (10 - len(FAILURES_OF_TEN))]
            self.chance.shuffle(self._statuses)
        status = self._statuses.pop()
        if status == 204:
            return status
        self._failures[event] += 1
        return status if self._failures[event] <= MAX_FAILURES else 204

    def successes(self) -> list[Request]:
        with self._guard:
            return [request for request in self.requests if request.status == 204]


@dataclass
class Worker:
    """Run the process that sends; a killed one is replaced at once."""

    log: Path
    kills: int = 0

    @contextmanager
    def running(self, chance: random.Random) -> Iterator[None]:
        """Run until the block ends, and kill the process at random times meanwhile."""
        interval = KILLED_WITHIN_SECONDS / KILLS
        moments = [(number + chance.uniform(0.5, 1)) * interval for number in range(KILLS)]
        is_over = threading.Event()
        thread = threading.Thread(target=self._run, args=(moments, is_over), name="kills")
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _run(self, moments: list[float], is_over: threading.Event) -> None:
        began = time.monotonic()
        for moment in moments:
            with self._started():
                if is_over.wait(began + moment - time.monotonic()):
                    return
                eventually(has_caught_up, seconds=15, every=0.01, what="the worker has caught up")
            self.kills += 1
        connection.close()
        with self._started():
            is_over.wait()

    @contextmanager
    def _started(self) -> "Iterator[subprocess.Popen[bytes]]":
        """Run the process once, until `kill -9`."""
        with self.log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", WORKER, connection.settings_dict["NAME"]],
                cwd=PROJECT,
                env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
            assert process.poll() is None, "the worker ended by itself"
        finally:
            process.kill()
            process.wait()


def has_caught_up() -> bool:
    """Return whether it keeps up with the events.

    While it sends what waited for its start, all 64 slots of its origin are in use, so 64 attempts
    would be repeated: not a typical moment for a kill.
    """
    waiting = Delivery.objects.filter(status="pending", claim_token=None, due_at__lte=Now())
    return waiting.count() < A_BACKLOG


# --- the test -------------------------------------------------------------------------------------


def test_kills_and_failures__lose_nothing_and_keep_the_order(
    failing_receiver: Receiver, worker: Worker, house: House
) -> None:
    endpoint(
        house, f"{failing_receiver.url}/hook", timeout_seconds=2, max_retries=20, backoff_seconds=1
    )
    began = time.monotonic()
    # When 500 tasks make nine events each, and the worker is killed five times meanwhile
    events = emit(house)
    wait_until_succeeded(len(events))
    successes = failing_receiver.successes()
    say(
        f"{len(failing_receiver.requests)} requests, {worker.kills} kills,"
        f" {len(successes) - len(events)} repeated, {time.monotonic() - began:.0f} s"
    )
    assert worker.kills == KILLS
    # Then nothing is lost, and nothing that did not happen was sent
    assert {request.event for request in successes} == events
    # And each task's events arrived in order
    assert inversions(successes) == []
    # And few requests are repeated, with the same id and body
    assert len(successes) - len(events) <= MAX_REPEATED
    assert forms_of_events(failing_receiver.requests) == dict.fromkeys(events, 1)
    assert len({request.webhook_id for request in failing_receiver.requests}) == len(events)
    # And the rows say the same: the last attempt of each was its success, and the only one
    assert Delivery.objects.filter(last_outcome="ok", claim_token=None).count() == len(events)
    assert Attempt.objects.filter(outcome="ok").count() == len(events)


def emit(house: House) -> set[Event]:
    """Write the events of the tasks at a steady rate; those of one task in order."""
    tasks = [new_id() for _ in range(TASKS)]
    began = time.monotonic()
    pause = EMITTED_WITHIN_SECONDS / (TASKS * EVENTS_EACH)
    pairs = ((task, sequence) for sequence in range(1, EVENTS_EACH + 1) for task in tasks)
    events: set[Event] = set()
    for number, (task_id, sequence) in enumerate(pairs):
        time.sleep(max(0.0, began + number * pause - time.monotonic()))
        rows.write(changes.event_fan_out(outbound_event(house, task_id, sequence)))
        events.add((str(task_id), sequence))
    return events


def wait_until_succeeded(count: int) -> None:
    try:
        eventually(
            lambda: counts() == {"succeeded": count}, seconds=30, every=0.5, what="all succeeded"
        )
    except AssertionError:
        pending = Delivery.objects.filter(status="pending").values_list("wait", "last_outcome")
        say(f"{counts()}; {Counter(pending)}; {Origin.objects.values()}")
        raise


def outbound_event(house: House, task_id: UUID, sequence: int) -> OutboundEvent:
    data = {"task_id": str(task_id), "sequence": sequence}
    return OutboundEvent(
        house.organisation.id, task_id, sequence, "task.created", clock.now(), data
    )


def inversions(successes: list[Request]) -> list[Event]:
    """Return events whose first success came after that of a later one of the same task."""
    firsts = dict.fromkeys(request.event for request in successes)
    latest: dict[str, int] = {}
    events = []
    for task_id, sequence in firsts:
        if sequence < latest.get(task_id, 0):
            events.append((task_id, sequence))
        latest[task_id] = max(sequence, latest.get(task_id, 0))
    return events


def forms_of_events(requests: list[Request]) -> dict[Event, int]:
    """Return how many different pairs of id and body arrived of each event."""
    forms: dict[Event, set[tuple[str, bytes]]] = {}
    for request in requests:
        forms.setdefault(request.event, set()).add((request.webhook_id, request.body))
    return {event: len(pairs) for event, pairs in forms.items()}


# --- fixtures -------------------------------------------------------------------------------------


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(10**6))
    say(f"FAULTS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def failing_receiver(chance: random.Random) -> Iterator[Receiver]:
    """Run a receiver."""
    with listening(Receiver(chance)) as receiver:
        yield receiver


@pytest.fixture
def worker(chance: random.Random, database: None, tmp_path: Path) -> Iterator[Worker]:
    """Run a worker; it has ended before the tables are emptied."""
    worker = Worker(tmp_path / "worker.log")
    with worker.running(random.Random(chance.random())):
        yield worker
    say(worker.log.read_text(errors="replace")[-4000:])


@contextmanager
def listening(receiver: Receiver) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status = receiver.take(self.headers["webhook-id"], body)
            if status is None:
                # With this option the close resets the connection.
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def handle(self) -> None:
            # A killed sender closes the connection.
            with suppress(ConnectionError):
                super().handle()

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join(timeout=5)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
