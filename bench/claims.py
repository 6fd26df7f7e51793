"""Measure claims of `/api`: their rate beside bare SQL and Procrastinate, their depth, waiting.

1. **In process**: a session claims a run and completes it, by the services. Beside it a bare pair:
   one transaction of `SELECT … FOR UPDATE SKIP LOCKED` and `UPDATE`. Both on one connection.
2. **Over HTTP**: eight sessions claim and complete by the web process of the service, one call
   after another each. Beside it Procrastinate, which fetches and finishes jobs, eight at a time,
   in one process. It is installed into an environment of its own; without it, a bare equivalent
   on eight threads takes its place, and is called so.
3. **Depth**: claims among 10,000 queued runs of 1,000 workspaces, and among `--queued`. What
   counts is the processor time of this process and of its connection: wall times follow the
   machine's load.
4. **Waiting**: `--waiters` calls wait on the stream process, and nothing happens: its processor
   time and that of its connections, its threads and its connections. Then runs are queued one by
   one: the time from the commit until a waiting call has its answer.

Contestants alternate in blocks; medians count. Exit code 1 where a target is missed.
"""

import argparse
import contextlib
import json
import os
import re
import selectors
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

import psycopg  # noqa: E402 - the path must be set first

from bench.cpu import cpu_seconds  # noqa: E402
from bench.home import home_for_this_run  # noqa: E402
from bench.load import Line  # noqa: E402
from bench.servers import free_port, serving  # noqa: E402

PARTS = ("process", "http", "depth", "waiting")
TARGETS = {
    "pairs in process, of bare pairs": (0.5, "at least"),
    "pairs over HTTP, of Procrastinate": (1.0, "at least"),
    "processor time of a claim, deep of shallow": (1.3, "at most"),
    "share of a core while all wait": (0.05, "at most"),
    "ms from the commit to a waiting call, p50": (100.0, "at most"),
}
SHALLOW, WORKSPACES = 10_000, 1_000
CLAIMS = 400
MOST_A_SECOND = 1_000
SESSIONS = 8
PROCRASTINATE = ("procrastinate==3.10.0", "psycopg[binary,pool]==3.3.9")
CLAIM_NEXT = "/api/agent/tasks/claim-next"
RUN_ID = re.compile(rb'"run":\{"id":"([0-9a-f-]{36})"')
QUEUED = 30
# A share of a core that a process which is still taking calls is far above.
SETTLED = 0.2
HOME_LIMITS = {"BIOLAYER_RATE_LIMIT": "100000000"}


def main() -> None:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with home_for_this_run(**HOME_LIMITS) as home:
        bench = Bench(home, options)
        measures = {
            "process": bench.in_process,
            "http": bench.over_http,
            "depth": bench.depth,
            "waiting": bench.waiting,
        }
        for part in options.only or PARTS:
            measures[part]()
    sys.exit(bench.report())


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=2.0, help="the length of a block")
    options.add_argument("--queued", type=int, default=100_000)
    options.add_argument("--waiters", type=int, default=1_000)
    options.add_argument("--only", choices=PARTS, nargs="+")
    options.add_argument("--profile", action="store_true", help="show where the time goes")
    return options.parse_args()


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


@dataclass
class Bench:
    """Hold the installation, and the ratios that were measured."""

    home: Path
    options: argparse.Namespace
    found: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from bench.claim_data import Floor

        self.floor = Floor.build()
        self.pool = self.floor.house.pool.id

    def report(self) -> int:
        """Print each ratio with its target. Return the exit code."""
        missed = 0
        for name, value in self.found.items():
            target, way = TARGETS[name]
            is_met = value >= target if way == "at least" else value <= target
            missed += not is_met
            print(f"{name:46} {value:8.2f}  {way} {target}{'' if is_met else ': missed'}")
        return int(missed > 0)

    # --- in process -------------------------------------------------------------------------------

    def in_process(self) -> None:
        from apps.agents.services import ClaimRequest, claim_next, complete_claim

        (session,) = self.floor.sessions(1, workspace=self.pool, prefix="process")
        actor = self.floor.desk.caller.principal

        def pair() -> None:
            at = datetime.now(UTC)
            made = claim_next(actor=actor, session=session, request=ClaimRequest(), at=at)
            assert made is not None, "the queue is empty"
            complete_claim(actor=actor, session=session, run_id=made.run.id, result={}, at=at)

        ours: list[float] = []
        bare: list[float] = []
        cpu: list[float] = []
        self._queue_for_all_rounds()
        with bare_pairs(self.home) as bare_pair:
            for number in range(self.options.rounds + 1):
                rate, spent = self._paced(pair)
                other = _paced(bare_pair, self.options.seconds / 2)
                if number:  # The first round warms up.
                    ours.append(rate)
                    bare.append(other)
                    cpu.append(spent)
        print(
            f"in process: {_median(ours):.0f} pairs a second, bare {_median(bare):.0f}; "
            f"processor time of a pair {_median(cpu) * 1000:.2f} ms"
        )
        self.found["pairs in process, of bare pairs"] = _median(
            [one / other for one, other in zip(ours, bare, strict=True)]
        )
        if self.options.profile:
            self.floor.fill([self.pool], 500)
            _profile(pair, 300)

    def _queue_for_all_rounds(self) -> None:
        """Queue what is claimed at most: at once, since new statistics change all plans."""
        seconds = (self.options.rounds + 1) * self.options.seconds
        self.floor.fill([self.pool], round(MOST_A_SECOND * seconds))

    def _paced(self, call: Callable[[], None]) -> tuple[float, float]:
        """Return calls a second, and the processor time of each, with that of its connection."""
        before, done = _processor_time(), 0
        began = time.perf_counter()
        while (seconds := time.perf_counter() - began) < self.options.seconds:
            call()
            done += 1
        return done / seconds, (_processor_time() - before) / done

    # --- over HTTP --------------------------------------------------------------------------------

    def over_http(self) -> None:
        port = free_port()
        sessions = self.floor.sessions(SESSIONS, workspace=self.pool, prefix="http")
        os.environ["PORT"] = str(port)
        web = [sys.executable, "-m", "config.processes", "web"]
        ours: list[float] = []
        theirs: list[float] = []
        with (
            serving(web, port=port, log=self.home / "logs" / "web.log"),
            procrastinate(self.home) as (name, other),
        ):
            self._queue_for_all_rounds()
            for number in range(self.options.rounds + 1):
                rate = self._calls(port, sessions)
                theirs_now = other(self.options.seconds)
                if number:
                    ours.append(rate)
                    theirs.append(theirs_now)
        print(f"over HTTP: {_median(ours):.0f} pairs a second, {name} {_median(theirs):.0f}")
        self.found["pairs over HTTP, of Procrastinate"] = _median(
            [one / other for one, other in zip(ours, theirs, strict=True)]
        )

    def _calls(self, port: int, sessions: Sequence[Any]) -> float:
        """Return how many runs are claimed and completed in a second."""
        done, key = 0, self.floor.desk.caller.key
        callers = [Caller(port, key, session) for session in sessions]
        with selectors.DefaultSelector() as selector:
            for caller in callers:
                selector.register(caller.line.socket, selectors.EVENT_READ, caller)
                caller.claim()
            began, waiting = time.perf_counter(), len(callers)
            while waiting:
                for key_, _ in selector.select(10):
                    caller = key_.data
                    if not caller.line.has_answer():
                        continue
                    caller.line.check(200)
                    if caller.holds:
                        done += 1
                    if caller.holds and time.perf_counter() - began > self.options.seconds:
                        waiting -= 1
                    else:
                        caller.go_on()
            seconds = time.perf_counter() - began
        for caller in callers:
            caller.line.socket.close()
        return done / seconds

    # --- depth ------------------------------------------------------------------------------------

    def depth(self) -> None:
        workspaces = self.floor.workspaces(WORKSPACES)
        (session,) = self.floor.sessions(1, workspace=workspaces[0], prefix="depth")
        self.floor.fill(workspaces, SHALLOW)
        shallow = self._claims(session, CLAIMS)
        began = time.perf_counter()
        self.floor.fill(workspaces, self.options.queued)
        print(f"{self.options.queued:,} more runs in {time.perf_counter() - began:.0f} s")
        deep = self._claims(session, CLAIMS)
        for name, (wall, cpu) in {"10,000": shallow, f"{self.options.queued:,}": deep}.items():
            print(f"a claim among {name}: {wall * 1000:.2f} ms, {cpu * 1000:.2f} of processor time")
        self.found["processor time of a claim, deep of shallow"] = deep[1] / shallow[1]

    def _claims(self, session: Any, count: int) -> tuple[float, float]:
        """Return wall and processor time of a claim; the run is given back, which is not timed."""
        from apps.agents.services import ClaimRequest, claim_next, release_claim

        actor = self.floor.desk.caller.principal
        wall: list[float] = []
        cpu: list[float] = []
        for _ in range(count):
            at = datetime.now(UTC)
            before, began = _processor_time(), time.perf_counter()
            made = claim_next(actor=actor, session=session, request=ClaimRequest(), at=at)
            wall.append(time.perf_counter() - began)
            cpu.append(_processor_time() - before)
            assert made is not None, "the queue is empty"
            release_claim(actor=actor, session=session, run_id=made.run.id, reason="bench", at=at)
        # The first ones plan the statements.
        return _median(wall[count // 4 :]), _median(cpu[count // 4 :])

    # --- waiting ----------------------------------------------------------------------------------

    def waiting(self) -> None:
        (workspace,) = self.floor.workspaces(1)
        count = self.options.waiters
        sessions = self.floor.sessions(count, workspace=workspace, prefix="waits")
        tasks = [
            self.floor.desk.task(scope="workspace", workspace=str(workspace))["id"]
            for _ in range(QUEUED)
        ]
        port = free_port()
        os.environ["STREAM_PORT"] = str(port)
        stream = [sys.executable, "-m", "config.processes", "stream"]
        with (
            serving(stream, port=port, log=self.home / "logs" / "stream.log") as pid,
            Crowd(port, self.floor.desk.caller.key, sessions) as crowd,
        ):
            began = time.perf_counter()
            crowd.call()
            opened = time.perf_counter() - began
            self._settle(pid)
            share = self._idle(pid, 4.0)
            facts = self._facts(pid)
            assert not crowd.answered, f"{len(crowd.answered)} calls were answered"
            latencies = self._queue(crowd, tasks)
        print(f"{count} calls wait, opened in {opened:.1f} s; {facts}")
        print(
            "from the commit to a waiting call: "
            f"p50 {_median(latencies):.0f} ms, of {len(latencies)}, worst {max(latencies):.0f} ms"
        )
        self.found["share of a core while all wait"] = share
        self.found["ms from the commit to a waiting call, p50"] = _median(latencies)

    def _settle(self, pid: int) -> None:
        """Wait until the calls have been looked at: they are waiting from then on."""
        for _ in range(12):
            if self._idle(pid, 1.0) < SETTLED:
                return

    def _idle(self, pid: int, seconds: float) -> float:
        pids = [pid, *_backends("biolayer stream")]
        before, began = cpu_seconds(pids), time.perf_counter()
        time.sleep(seconds)
        return (cpu_seconds(pids) - before) / (time.perf_counter() - began)

    def _facts(self, pid: int) -> str:
        status = Path(f"/proc/{pid}/status").read_text()
        (threads,) = re.findall(r"^Threads:\s+(\d+)", status, re.MULTILINE)
        return f"{threads} threads, {len(_backends('biolayer stream'))} connections"

    def _queue(self, crowd: "Crowd", tasks: Sequence[str]) -> list[float]:
        """Queue a run every 0.1 s. Return the times until each reached a waiting call, in ms."""
        from apps.base import clock
        from apps.operations.caller import person
        from apps.operations.services import RunRequest, start_task

        caller, latencies = person(self.floor.desk.caller.principal), []
        for name in tasks:
            before = len(crowd.answered)
            start_task(caller=caller, task_id=name, request=RunRequest(), at=clock.now())
            committed = time.perf_counter()
            crowd.until_answered(before + 1)
            latencies.append((crowd.answered[before] - committed) * 1000)
            time.sleep(0.1)
        return latencies


# --- processor time -------------------------------------------------------------------------------


def _processor_time() -> float:
    """Return the processor time of this thread and of its connection to PostgreSQL."""
    from django.db import connection

    connection.ensure_connection()
    info = connection.connection.info
    return time.thread_time() + _schedule_time(info.backend_pid)


def _schedule_time(pid: int) -> float:
    """Return the time that a process of one thread has run, in nanoseconds' precision."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _backends(name: str) -> list[int]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", [name])
        return [pid for (pid,) in cursor.fetchall()]


def _profile(call: Callable[[], None], count: int) -> None:
    import cProfile
    import pstats

    profile = cProfile.Profile()
    profile.enable()
    for _ in range(count):
        call()
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


# --- the bare pair --------------------------------------------------------------------------------

BARE = """
CREATE TABLE bench_bare (id bigint PRIMARY KEY, status text NOT NULL);
INSERT INTO bench_bare SELECT number, 'queued' FROM generate_series(1, 400000) AS number;
CREATE INDEX bench_bare_queue ON bench_bare (id) WHERE status = 'queued';
ANALYZE bench_bare
"""
BARE_SELECT = """
SELECT id FROM bench_bare WHERE status = 'queued' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
"""


@contextlib.contextmanager
def bare_pairs(home: Path) -> Iterator[Callable[[], None]]:
    """Yield a bare pair in SQL on a connection of its own."""
    with psycopg.connect(_url(home), autocommit=True, prepare_threshold=2) as connection:
        connection.execute(BARE, prepare=False)

        def pair() -> None:
            with connection.transaction():
                row = connection.execute(BARE_SELECT).fetchone()
                assert row is not None, "the queue is empty"
                connection.execute("UPDATE bench_bare SET status = 'done' WHERE id = %s", row)

        yield pair


def _url(home: Path) -> str:
    from config import embedded

    return str(embedded.database_url(home))


def _paced(call: Callable[[], None], seconds: float) -> float:
    began, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        call()
        done += 1
    return done / spent


# --- Procrastinate --------------------------------------------------------------------------------

Rate = Callable[[float], float]


@contextlib.contextmanager
def procrastinate(home: Path) -> Iterator[tuple[str, Rate]]:
    """Yield a name, and what returns the rate of fetch and finish in so many seconds."""
    python = _environment(home / "procrastinate")
    url = _url(home)
    if python is None:
        with bare_pairs(home) as _:
            yield "a bare fetch and finish", lambda seconds: _bare_rate(url, seconds)
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE procrastinate")
    own = psycopg.conninfo.make_conninfo(url, dbname="procrastinate")
    command = [str(python), str(PROJECT / "bench" / "procrastinate_claims.py")]
    log = home / "logs" / "procrastinate.log"
    process = subprocess.Popen(
        command,
        env={**os.environ, "BENCH_DATABASE": own},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log.open("wb"),
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def rate(seconds: float) -> float:
        print(seconds, file=stdin, flush=True)
        done, spent = json.loads(stdout.readline())
        return float(done / spent)

    try:
        ready = stdout.readline()
        assert ready == "ready\n", log.read_text()[-2000:]
        yield "Procrastinate", rate
    finally:
        process.kill()
        process.wait()


def _environment(folder: Path) -> Path | None:
    """Return the interpreter of an environment with Procrastinate; None if there is no index."""
    python = folder / "bin" / "python"
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *PROCRASTINATE]
        subprocess.run(install, check=True, timeout=120, stderr=subprocess.DEVNULL)
    except (subprocess.SubprocessError, OSError):
        return None
    return python


def _bare_rate(url: str, seconds: float) -> float:
    """Return the rate of a transaction that takes a row and one that finishes it, by 8 threads."""
    ends = time.perf_counter() + seconds
    take = f"UPDATE bench_bare SET status = 'doing' WHERE id = ({BARE_SELECT}) RETURNING id"

    def work() -> int:
        done = 0
        with psycopg.connect(url, autocommit=True, prepare_threshold=2) as connection:
            while time.perf_counter() < ends:
                row = connection.execute(take).fetchone()
                assert row is not None
                connection.execute("UPDATE bench_bare SET status = 'done' WHERE id = %s", row)
                done += 1
        return done

    with ThreadPoolExecutor(SESSIONS) as threads:
        return (
            sum(call.result() for call in [threads.submit(work) for _ in range(SESSIONS)]) / seconds
        )


# --- calls ----------------------------------------------------------------------------------------


def _request(path: str, key: str, session: Any, body: bytes) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"X-AGH-Session-ID: {session.session_id}\r\nX-AGH-Agent: {session.agent_name}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Caller:
    """Claim and complete over one connection, in turn."""

    def __init__(self, port: int, key: str, session: Any) -> None:
        self.line = Line(port)
        self.holds = False
        self._key, self._session = key, session

    def claim(self) -> None:
        self.holds = False
        self.line.send(_request(CLAIM_NEXT, self._key, self._session, b"{}"))

    def go_on(self) -> None:
        """Complete what was just claimed, or claim again."""
        if self.holds:
            self.claim()
            return
        found = RUN_ID.search(self.line.answer)
        assert found is not None, self.line.answer
        self.holds = True
        path = f"/api/agent/tasks/{found[1].decode()}/complete"
        self.line.send(_request(path, self._key, self._session, b'{"result": {}}'))


class Crowd:
    """Have sessions wait for a claim, and note on a thread when each is answered."""

    def __init__(self, port: int, key: str, sessions: Sequence[Any]) -> None:
        self.answered: list[float] = []
        self._port, self._key, self._sessions = port, key, sessions
        self._selector = selectors.DefaultSelector()
        self._lines: list[Line] = []
        self._has_more = threading.Condition()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)
        for line in self._lines:
            line.socket.close()

    def call(self) -> None:
        """Send a call of each session."""
        for session in self._sessions:
            line = Line(self._port)
            line.send(_request(CLAIM_NEXT, self._key, session, b'{"wait": true}'))
            self._selector.register(line.socket, selectors.EVENT_READ, line)
            self._lines.append(line)
        self._thread.start()

    def until_answered(self, count: int) -> None:
        with self._has_more:
            is_there = self._has_more.wait_for(lambda: len(self.answered) >= count, timeout=10)
        assert is_there, "no waiting call got the run within 10 s"

    def _read(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.2):
                line: Line = key.data
                if line.has_answer():
                    at = time.perf_counter()
                    self._selector.unregister(line.socket)
                    line.check(200)
                    with self._has_more:
                        self.answered.append(at)
                        self._has_more.notify_all()


if __name__ == "__main__":
    main()
