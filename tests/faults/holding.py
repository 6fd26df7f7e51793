"""Hold a row, a lock or a connection of an installation; call it and watch its events.

As a program, `python3 -m tests.faults.holding URL TASK_ID`, it is a client that stops during a
transaction.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg

from config import embedded
from config.processes import QUIET_ROOT, service_commands
from tests.faults.installation import OURS, PROJECT, Installation, eventually

LOCK_TASKS = "SELECT FROM tasks_task WHERE id = ANY (%s::uuid[]) FOR UPDATE"
LOCK_POOL = "SELECT FROM pools_pool WHERE id = %s FOR UPDATE"
LOCK_WORKER = "SELECT FROM pools_worker WHERE id = %s FOR UPDATE"
LOCK_TASK_AND_TIMERS = """
WITH touched AS (UPDATE tasks_task SET title = title WHERE id = %s)
SELECT FROM timers_timer WHERE subject_id = %s FOR UPDATE
"""
LOCK_REQUIREMENT = """
SELECT FROM tasks_requirement
WHERE id = (SELECT requirement_id FROM tasks_task WHERE id = %s) FOR UPDATE
"""

IS_IN_TRANSACTION = """
SELECT FROM pg_stat_activity
WHERE application_name = %s AND state = 'idle in transaction' AND backend_xid IS NOT NULL
"""

WORKERS = [
    name
    for name in service_commands(host="127.0.0.1", port=0, stream_port=0)
    if name in ("lifecycle", "matching")
]
"""The processes that move tasks."""

Changes = Mapping[str, Any]
UNMATCHED: Changes = {"requirements": {"skills": ["deep_sea_diving"]}}
COMMON: Changes = {"requirements": {"skills": ["phone_verification"]}}
HARBOUR: Changes = {"requirements": {"skills": ["harbour_inspection"]}}

PATIENT = {"offer_seconds": {"normal": 3600}, "misses_until_away": None}
"""Policies of a pool whose offers stay open, and whose workers stay available."""

STOP, GO = signal.SIGSTOP, signal.SIGCONT
FOREIGN = "foreign"
LOOK_EVERY_SECONDS = 0.05
TIMEOUT_SECONDS = 5.0
STARTS_WITHIN_SECONDS = 40.0
CAUGHT_WITHIN_SECONDS = 15.0
ENDS_WITHIN_SECONDS = 10.0
SETTLES_SECONDS = 0.02


# --- transactions that stay open ------------------------------------------------------------------


@contextmanager
def foreign(url: str, sql: str, params: Sequence[object]) -> Iterator[None]:
    """Hold the locks of `sql` in a transaction of another program, while the block runs.

    No limit of the database ends that transaction.
    """
    connection = psycopg.connect(url, application_name=FOREIGN, connect_timeout=5)
    try:
        connection.execute("SET idle_in_transaction_session_timeout = 0")
        connection.execute("SET statement_timeout = '5s'")
        connection.execute(sql, params)
        yield
    finally:
        connection.close()


@contextmanager
def stopped_client(url: str, task_id: str) -> Iterator[None]:
    """Hold a task and its timers by a process that is stopped during its transaction."""
    command = [sys.executable, "-m", "tests.faults.holding", url, task_id]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE) as client:
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == b"held\n", "the client could not lock its rows"
            client.send_signal(STOP)
            yield
        finally:
            client.kill()


def main() -> None:
    """Lock a task and its timers, report it, and keep the transaction open."""
    url, task_id = sys.argv[1:]
    with foreign(url, LOCK_TASK_AND_TIMERS, [task_id, task_id]):
        print("held", flush=True)
        time.sleep(600)


# --- a peer that is dead --------------------------------------------------------------------------


class Proxy:
    """PostgreSQL's unix socket by TCP on loopback, until the way between them is `frozen`: nothing
    passes then, in either direction, and neither side notices.
    """

    def __init__(self, home: Path) -> None:
        self._target = str(embedded.socket_folder(home) / ".s.PGSQL.5432")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._flows = threading.Event()
        self._flows.set()
        self._is_over = False
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @staticmethod
    @contextmanager
    def running(home: Path) -> Iterator["Proxy"]:
        """Accept connections while the block runs; then break all of them."""
        proxy = Proxy(home)
        proxy._start(proxy._accept)
        try:
            yield proxy
        finally:
            proxy._close()

    @property
    def url(self) -> str:
        port = self._listener.getsockname()[1]
        return f"postgresql://postgres@127.0.0.1:{port}/biolayer?sslmode=disable"

    def freeze(self) -> None:
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        """End all connections, with all data that did not pass."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = socket.socket(socket.AF_UNIX)
                self._sockets += [client, server]
                server.connect(self._target)
                self._start(self._pump, client, server)
                self._start(self._pump, server, client)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._flows.wait()
                if self._is_over:
                    return
                target.sendall(data)
            self._flows.wait()
            target.shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        self._is_over = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        self.thaw()
        for thread in self._threads:
            thread.join(timeout=5)
        for one in [self._listener, *self._sockets]:
            one.close()


# --- workers of the service -----------------------------------------------------------------------


@dataclass(frozen=True)
class Halt:
    """Halt a worker, and resume it."""

    stop: Callable[[], None]
    go: Callable[[], None]


@contextmanager
def workers_to_stop(installation: Installation, url: str) -> Iterator[dict[str, Halt]]:
    """Start a second worker of each kind, which is halted by stopping its process."""
    with ExitStack() as stack:
        pids = {
            process: stack.enter_context(_second_worker(installation, process, url))
            for process in WORKERS
        }
        yield {
            process: Halt(partial(os.kill, pid, STOP), partial(os.kill, pid, GO))
            for process, pid in pids.items()
        }


@contextmanager
def workers_to_cut_off(installation: Installation) -> Iterator[dict[str, Halt]]:
    """Start a second worker of each kind, which is halted by freezing its connection."""
    with ExitStack() as stack:
        proxies = {
            process: stack.enter_context(Proxy.running(installation.home)) for process in WORKERS
        }
        for process, proxy in proxies.items():
            stack.enter_context(_second_worker(installation, process, proxy.url))
        yield {process: Halt(proxy.freeze, proxy.thaw) for process, proxy in proxies.items()}


@contextmanager
def _second_worker(installation: Installation, process: str, url: str) -> Iterator[int]:
    """Start another worker like `process` with the database at `url`. Yield its process ID."""
    name = f"second-{process}"
    command = [*service_commands(host="127.0.0.1", port=0, stream_port=0)[process]]
    command[command.index("-n") + 1] = f"{name}@%h"
    with (installation.home / f"{name}.log").open("ab") as out:
        worker = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=_environment(installation, f"{url}&application_name={name}"),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield worker.pid
    finally:
        worker.send_signal(GO)
        worker.terminate()
        with suppress(subprocess.TimeoutExpired):
            worker.wait(timeout=ENDS_WITHIN_SECONDS)
        worker.kill()
        worker.wait()


def inherited_environment(installation: Installation) -> dict[str, str]:
    """Return the environment that a program of the installation inherits from the test run."""
    return {
        **{
            name: value
            for name, value in os.environ.items()
            if name not in OURS and not name.startswith("BIOLAYER_")
        },
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "BIOLAYER_HOME": str(installation.home),
    }


def _environment(installation: Installation, url: str) -> dict[str, str]:
    """Return the environment of the installation's processes, with another database URL."""
    kept = json.loads((installation.home / "secrets.json").read_text())
    return {
        **inherited_environment(installation),
        **QUIET_ROOT,
        "DATABASE_URL": url,
        "SECRET_KEY": kept["SECRET_KEY"],
        "ENCRYPTION_KEYS": kept["ENCRYPTION_KEY"],
        "ALLOWED_HOSTS": "*",
    }


def halt_in_transaction(halt: Halt, *, process: str, observer_url: str) -> None:
    """Halt the second worker like `process` while it holds uncommitted rows."""
    ends = time.monotonic() + CAUGHT_WITHIN_SECONDS
    with psycopg.connect(observer_url, autocommit=True) as observer:
        while True:
            halt.stop()
            time.sleep(SETTLES_SECONDS)
            if observer.execute(IS_IN_TRANSACTION, [f"second-{process}"]).fetchall():
                return
            halt.go()
            assert time.monotonic() < ends, f"the second {process} was not caught in a transaction"
            time.sleep(random.uniform(0.001, 0.05))


def wait_until_connected(observer_url: str) -> None:
    """Wait until each second worker is active: it connects with its first job."""
    names = {f"second-{process}" for process in WORKERS}
    connected = "SELECT application_name FROM pg_stat_activity"
    with psycopg.connect(observer_url, autocommit=True) as observer:
        eventually(
            lambda: names <= {name for (name,) in observer.execute(connected)},
            seconds=STARTS_WITHIN_SECONDS,
            what=f"{', '.join(names)} connect to the database",
        )


# --- who calls ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """Hold the response of a request, or its error."""

    seconds: float
    response: httpx.Response | None
    fault: str = ""

    @property
    def answer(self) -> str:
        """Return the status, and whether there is a `Retry-After`."""
        if self.response is None:
            return self.fault
        retries = " with Retry-After" if "Retry-After" in self.response.headers else ""
        return f"{self.response.status_code}{retries}"

    @property
    def task_id(self) -> str | None:
        """Return the ID of a created task."""
        if self.response is None or self.response.status_code != 201:
            return None
        return str(self.response.json()["task_id"])


def timed(request: Callable[[], httpx.Response]) -> Call:
    began = time.monotonic()
    try:
        response = request()
    except httpx.HTTPError as error:
        return Call(time.monotonic() - began, None, type(error).__name__)
    return Call(time.monotonic() - began, response)


@dataclass(frozen=True)
class Organisation:
    """Call the API as an organisation's backend."""

    org_id: str
    pool_id: str
    client: httpx.Client

    @staticmethod
    def calling(base_url: str, org_id: str, pool_id: str, api_key: str) -> "Organisation":
        authorization = {"Authorization": f"Bearer {api_key}"}
        client = httpx.Client(
            base_url=base_url, headers=authorization, timeout=TIMEOUT_SECONDS, trust_env=False
        )
        return Organisation(org_id, pool_id, client)

    def post_task(self, changes: Changes) -> httpx.Response:
        body = {
            "task_type": "verification",
            "domain": "security",
            "title": "Verify endpoint owner activity",
            "instructions": "Call the endpoint owner and confirm the 03:42 UTC session.",
            "output": {"schema": {"reached_user": "boolean"}},
            **changes,
        }
        return self.client.post("/v1/tasks", json=body)

    def create(self, changes: Changes, *, latency: int | None = None) -> str:
        """Post a task, with a target latency if one is given. Return its ID."""
        sla = {} if latency is None else {"sla": {"target_latency_seconds": latency}}
        return _made(self.post_task({**changes, **sla}), "task_id")

    def create_many(self, count: int, changes: Changes, *, latency: int) -> list[str]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda _: self.create(changes, latency=latency), range(count)))

    def cancel(self, task_id: str) -> httpx.Response:
        return self.client.post(f"/v1/tasks/{task_id}/cancel", json={})

    def patch(self, path: str, **changes: Any) -> httpx.Response:
        return self.client.patch(path, json=changes)

    def provision_pool(self, name: str) -> str:
        return _made(self.client.post("/v1/pools", json={"name": name, **PATIENT}), "pool_id")

    def enrol(self, name: str, **wanted: Any) -> str:
        """Create an available worker, by default in the first pool. Return its ID."""
        body = {"name": name, "presence": "available", "pool_ids": [self.pool_id], **wanted}
        return _made(self.client.post("/v1/workers", json=body), "worker_id")

    def prepare(self) -> "Organisation":
        """Create enough workers that each `COMMON` task finds one."""
        assert self.patch(f"/v1/pools/{self.pool_id}", **PATIENT).status_code == 200
        for number in range(5):
            self.enrol(f"Worker {number}", skills=["phone_verification"], capacity=100)
        return self


def _made(response: httpx.Response, name: str) -> str:
    assert response.status_code == 201, response.text
    return str(response.json()[name])


NAMES = ("org_id", "pool_id", "api_key")
FOUND = """
import sys
import django
django.setup()
from django.core.management import call_command
for number in range(int(sys.argv[1])):
    call_command("create_organisation", f"Organisation {number}")
"""


def founded(installation: Installation, count: int) -> list[Organisation]:
    """Create organisations by `manage.py create_organisation`."""
    answer = subprocess.run(
        [sys.executable, "-c", FOUND, str(count)],
        cwd=PROJECT,
        env=inherited_environment(installation),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [line.split() for line in answer.stdout.splitlines()]
    values = {name: [words[1] for words in lines if words[0] == name] for name in NAMES}
    base_url = installation.access["base_url"]
    return [Organisation.calling(base_url, *one) for one in zip(*values.values(), strict=True)]


# --- what is seen of the events -------------------------------------------------------------------

NEW_EVENTS = """
SELECT id, task_id::text, type, occurred_at, (data->>'due_at')::timestamptz, clock_timestamp()
FROM events_event WHERE id > %s AND id <> ALL (%s) ORDER BY id
"""


@dataclass(frozen=True)
class Seen:
    """Hold an event: its own times, and when it became readable."""

    occurred_at: datetime
    due_at: datetime | None
    seen_at: datetime


class Watch:
    """Read events as they are committed, when others can read them, too."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._first: dict[tuple[str, str], Seen] = {}
        self._guard = threading.Lock()
        self._is_over = threading.Event()
        self._is_reading = threading.Event()

    @staticmethod
    @contextmanager
    def watching(url: str) -> Iterator["Watch"]:
        """Watch all events from now on, while the block runs."""
        watch = Watch(url)
        thread = threading.Thread(target=watch._read, name="watch", daemon=True)
        thread.start()
        try:
            assert watch._is_reading.wait(5), "the events cannot be read"
            yield watch
        finally:
            watch._is_over.set()
            thread.join(timeout=5)

    def first(self, task_id: str, event_type: str) -> Seen | None:
        """Return the task's first event of that type; None if none was seen."""
        with self._guard:
            return self._first.get((task_id, event_type))

    def _read(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            row = connection.execute("SELECT coalesce(max(id), 0) FROM events_event").fetchone()
            assert row is not None
            self._is_reading.set()
            known: list[int] = []
            while not self._is_over.wait(LOOK_EVERY_SECONDS):
                rows = connection.execute(NEW_EVENTS, [row[0], known]).fetchall()
                known += [event_id for event_id, *_ in rows]
                with self._guard:
                    for _, task_id, event_type, *times in rows:
                        self._first.setdefault((task_id, event_type), Seen(*times))


if __name__ == "__main__":
    main()
