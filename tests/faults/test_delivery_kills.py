"""A sender of webhooks is killed again and again, and its receiver fails: nothing is lost, nothing
comes out of order, and what comes twice comes under one id.

The worker is a real process, killed by `kill -9` in the midst of its work. What follows goes by real
time: the killed worker's claims end after 17 s (a timeout of 2 s and the lease's margin). Run one
again as it was by `FAULTS_SEED=<the printed seed>`.
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
from apps.webhooks.fan_out import OutboundEvent
from apps.webhooks.models import Attempt, Delivery, Origin
from tests.destinations import counts, endpoint
from tests.factories import House
from tests.faults.installation import PROJECT, eventually, say

TASKS = 500
EVENTS_EACH = 9
TOLD_WITHIN_SECONDS = 30.0
WORKER = "tests.faults.delivery_worker"
KILLS = 5
# The last is early enough for its claims to end while events are still told.
KILLED_WITHIN_SECONDS = 20.0
A_BACKLOG = 20
MOST_REPEATED = TASKS * EVENTS_EACH * 5 // 1000
# 30 % of the requests: three of each ten, so that the breaker never sees seven failures in ten.
FAILURES_OF_TEN = (500, 503, None)
# A fourth failure of one event would cost this test half a minute.
MOST_FAILURES = 3

Event = tuple[str, int]


@dataclass(frozen=True)
class Request:
    """One request as it came; `status` is what it was answered, None for a reset."""

    event: Event
    webhook_id: str
    body: bytes
    status: int | None


@dataclass
class Receiver:
    """Fails by chance, three times in ten."""

    chance: random.Random
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    _failures: Counter[Event] = field(default_factory=Counter)
    _coming: list[int | None] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def take(self, webhook_id: str, body: bytes) -> int | None:
        """Keep a request; what to answer."""
        data = orjson.loads(body)["data"]
        event = (data["task_id"], data["sequence"])
        with self._guard:
            status = self._next(event)
            self.requests.append(Request(event, webhook_id, body, status))
        return status

    def _next(self, event: Event) -> int | None:
        if not self._coming:
            self._coming = [*FAILURES_OF_TEN, *[204] * (10 - len(FAILURES_OF_TEN))]
            self.chance.shuffle(self._coming)
        status = self._coming.pop()
        if status == 204:
            return status
        self._failures[event] += 1
        return status if self._failures[event] <= MOST_FAILURES else 204

    def successes(self) -> list[Request]:
        with self._guard:
            return [request for request in self.requests if request.status == 204]


@dataclass
class Worker:
    """The process that sends; a killed one is followed by the next at once."""

    log: Path
    kills: int = 0

    @contextmanager
    def running(self, chance: random.Random) -> Iterator[None]:
        """Runs until the block ends, and is killed meanwhile at moments of chance."""
        spell = KILLED_WITHIN_SECONDS / KILLS
        moments = [(number + chance.uniform(0.5, 1)) * spell for number in range(KILLS)]
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
        """One life of it, which ends by `kill -9`."""
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
    """Whether it sends at the pace of the events. While it works off what waited for its start, as
    many are under way as its origin has slots, so 64 would come again: that is no common moment.
    """
    waiting = Delivery.objects.filter(status="pending", claim_token=None, due_at__lte=Now())
    return waiting.count() < A_BACKLOG


# --- the test -------------------------------------------------------------------------------------


def test_kills_and_failures__lose_nothing_and_keep_the_order(
    here: Receiver, worker: Worker, house: House
) -> None:
    endpoint(house, f"{here.url}/hook", timeout_seconds=2, max_retries=20, backoff_seconds=1)
    began = time.monotonic()
    # When 500 tasks make nine events each, and the worker is killed five times meanwhile
    events = emit(house)
    wait_until_succeeded(len(events))
    told = here.successes()
    say(
        f"{len(here.requests)} requests, {worker.kills} kills, {len(told) - len(events)} repeated,"
        f" {time.monotonic() - began:.0f} s"
    )
    assert worker.kills == KILLS
    # Then nothing is lost, and nothing that did not happen was told
    assert {request.event for request in told} == events
    # And each task's events came in their order
    assert inversions(told) == []
    # And what came again is little, and has the same id and body
    assert len(told) - len(events) <= MOST_REPEATED
    assert forms_of_events(here.requests) == dict.fromkeys(events, 1)
    assert len({request.webhook_id for request in here.requests}) == len(events)
    # And the rows say the same: the last attempt of each was its success, and the only one
    assert Delivery.objects.filter(last_outcome="ok", claim_token=None).count() == len(events)
    assert Attempt.objects.filter(outcome="ok").count() == len(events)


def emit(house: House) -> set[Event]:
    """The events of the tasks, at a steady pace; those of one task in their order."""
    tasks = [new_id() for _ in range(TASKS)]
    began = time.monotonic()
    pause = TOLD_WITHIN_SECONDS / (TASKS * EVENTS_EACH)
    turns = ((task, sequence) for sequence in range(1, EVENTS_EACH + 1) for task in tasks)
    events: set[Event] = set()
    for number, (task_id, sequence) in enumerate(turns):
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


def inversions(told: list[Request]) -> list[Event]:
    """Events whose first success came after that of a later one of the same task."""
    firsts = dict.fromkeys(request.event for request in told)
    latest: dict[str, int] = {}
    found = []
    for task_id, sequence in firsts:
        if sequence < latest.get(task_id, 0):
            found.append((task_id, sequence))
        latest[task_id] = max(sequence, latest.get(task_id, 0))
    return found


def forms_of_events(requests: list[Request]) -> dict[Event, int]:
    """Of each event, how many different pairs of id and body came."""
    forms: dict[Event, set[tuple[str, bytes]]] = {}
    for request in requests:
        forms.setdefault(request.event, set()).add((request.webhook_id, request.body))
    return {event: len(found) for event, found in forms.items()}


# --- the scene ------------------------------------------------------------------------------------


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(10**6))
    say(f"FAULTS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def here(chance: random.Random) -> Iterator[Receiver]:
    """A receiver that listens."""
    with listening(Receiver(chance)) as receiver:
        yield receiver


@pytest.fixture
def worker(chance: random.Random, database: None, tmp_path: Path) -> Iterator[Worker]:
    """A worker that sends; it is gone before the tables are emptied."""
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
                # Closed in this way, a connection is reset.
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def handle(self) -> None:
            # A sender that was killed hangs up: that is what this test does.
            with suppress(ConnectionError):
                super().handle()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

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
