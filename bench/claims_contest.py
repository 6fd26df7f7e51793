"""Let 64 sessions in four processes claim runs with leases of a second, while processes are killed.

Each session claims, works for a moment, and completes; sometimes it renews its lease, gives the run
back, or stands still until its lease has ended and completes then, which must be refused. One of
the processes is killed by `kill -9` every few seconds, and replaced. Timers fire in this process.

Then the log of `/api` is folded, run by run, by rules of its own (`judge`):

- a run is claimed only while no one holds it, and its lease ends only when its time is up;
- only the holder of the time renews, gives back or completes, by the hash of its own claim, and
  before its lease has ended;
- each run is completed once, and nothing happens to it afterwards.

Every completion that a session was told of is in the log, by that session; each task is completed,
with the output of the session that completed it; and the claims, runs and loads of workers agree
with the log. Exit code 1 otherwise.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first

PROCESSES, THREADS, AGENTS = 4, 16, 8
LEASE_SECONDS = 1
KILL_EVERY = (3.0, 8.0)
LATE_SECONDS = 1.3
LONGEST_SECONDS = 3_600.0


# --- the judge ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold an entry of the log."""

    run: str
    kind: str
    actor: str
    payload: dict[str, Any]
    at: datetime


@dataclass(slots=True)
class Hold:
    """Hold who has a run, by which hash, and until when."""

    session: str
    token_hash: str
    until: datetime


def judge(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield what is wrong with the log of one run, whose entries are in their order."""
    fold = Fold()
    for entry in entries:
        for fault in fold.faults_of(entry):
            yield f"{entry.run}: {entry.kind} by {entry.actor} {fault}"
    if fold.completed != 1:
        yield f"a run was completed {fold.completed} times"


@dataclass(slots=True)
class Fold:
    """Hold what the entries of a run so far come to."""

    held: Hold | None = None
    completed: int = 0

    def faults_of(self, entry: Entry) -> Iterator[str]:
        """Yield why the next entry must not be there, and take it into account."""
        if self.completed:
            yield "after the completion"
        match entry.kind:
            case "task.run_claimed":
                yield from self._claimed(entry)
            case "task.run_lease_expired":
                if self.held is None or entry.at < self.held.until:
                    yield "without a lease that had ended"
                self.held = None
            case "task.run_lease_extended" | "task.run_released" | "task.run_completed":
                yield from self._by_holder(entry)
            case _:
                yield "is not expected"

    def _claimed(self, entry: Entry) -> Iterator[str]:
        if self.held is not None:
            yield f"while {self.held.session} holds it"
        until = datetime.fromisoformat(entry.payload["lease_until"])
        session = entry.payload["claimed_by"]["ref"]
        self.held = Hold(session, entry.payload["claim_token_hash"], until)

    def _by_holder(self, entry: Entry) -> Iterator[str]:
        held = self.held
        if held is None or held.session != entry.actor:
            yield f"while {held and held.session} holds it"
            return
        told = entry.payload.get("claim_token_hash", held.token_hash)
        if told != held.token_hash or entry.at >= held.until:
            yield "by another claim, or too late"
        if entry.kind == "task.run_lease_extended":
            held.until = datetime.fromisoformat(entry.payload["lease_until"])
            return
        self.held = None
        self.completed += entry.kind == "task.run_completed"


# --- the sessions ---------------------------------------------------------------------------------


class Racer(threading.Thread):
    """Act as one session until the process is killed."""

    def __init__(self, name: str, key: str, folder: Path) -> None:
        super().__init__(daemon=True)
        self._name, self._key, self._folder = name, key, folder
        self._chance = random.Random(f"{name} {os.getpid()}")

    def run(self) -> None:
        from django.db import Error, connection

        from biolayer.errors import BioLayerError

        while True:
            try:
                self._work()
            except BioLayerError as refusal:
                _append(self._folder / "refusals", refusal.code)
            except Error:
                # A lock that was held for too long, or a deadlock: the call is sent again.
                connection.close()
                _append(self._folder / "refusals", "database")
            except Exception:
                _append(self._folder / "failures", traceback.format_exc())

    def _work(self) -> None:
        from apps.accounts.selectors import authenticate_key
        from apps.agents import services
        from apps.agents.models import AgentSession
        from apps.base import clock

        known = authenticate_key(self._key)
        assert known is not None
        actor = known.principal
        session = AgentSession.objects.get(
            organisation_id=actor.organisation_id, session_id=self._name
        )
        request = services.ClaimRequest(lease_seconds=LEASE_SECONDS, idempotency_key=self._name)
        made = services.claim_next(actor=actor, session=session, request=request, at=clock.now())
        if made is None:
            time.sleep(0.1)
            return
        call: dict[str, Any] = {"actor": actor, "session": session, "run_id": made.run.id}
        draw = self._chance.random()
        if draw < 0.05:
            time.sleep(LATE_SECONDS)
        elif draw < 0.15:
            services.heartbeat_claim(**call, lease_seconds=LEASE_SECONDS, at=clock.now())
        elif draw < 0.20:
            services.release_claim(**call, reason="contest", at=clock.now())
            return
        result = {"by": self._name}
        services.complete_claim(**call, result=result, at=clock.now())
        _append(self._folder / "completions", f"{made.run.id} {self._name}")


def _append(path: Path, line: str) -> None:
    """Write a line at once: what follows may be a kill."""
    with path.open("a") as file:
        file.write(line.rstrip("\n") + "\n")


def _race(names: Sequence[str], key: str, folder: Path) -> None:
    import bench.claim_data  # noqa: F401 - it sets Django up

    for name in names:
        Racer(name, key, folder).start()
    while True:
        signal.pause()


# --- the contest ----------------------------------------------------------------------------------


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--runs", type=int, default=50_000)
    options.add_argument("--race", nargs="+", help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.race:
        _race(chosen.race, os.environ["CONTEST_KEY"], chosen.folder)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with home_for_this_run(), tempfile.TemporaryDirectory() as folder:
        faults = _contest(chosen.runs, Path(folder))
    for fault in faults[:20]:
        print(fault, file=sys.stderr)
    sys.exit(f"{len(faults)} faults" if faults else 0)


def _contest(runs: int, folder: Path) -> list[str]:
    from bench.claim_data import Floor

    floor = Floor.build()
    workspace = floor.house.pool.id
    sessions = [
        session.session_id
        for agent in range(AGENTS)
        for session in floor.sessions(
            PROCESSES * THREADS // AGENTS, workspace=workspace, prefix=f"contest{agent}"
        )
    ]
    floor.fill([workspace], runs)
    print(f"{runs:,} runs, {len(sessions)} sessions", flush=True)
    began = time.monotonic()
    with Field(sessions, floor.desk.caller.key, folder) as field:
        kills = field.play(until=lambda: _left(workspace) == 0)
    seconds = time.monotonic() - began
    told = _lines(folder / "completions")
    refusals = Counter(_lines(folder / "refusals"))
    print(f"{len(told):,} completions were told in {seconds:.0f} s, {kills} kills")
    print("refused: " + ", ".join(f"{code} {count}" for code, count in refusals.items()))
    faults = [f"unexpected: {line}" for line in _lines(folder / "failures")]
    return [*faults, *_faults(workspace, runs, told)]


class Field:
    """Hold the processes of the sessions."""

    def __init__(self, sessions: Sequence[str], key: str, folder: Path) -> None:
        self._parts = [sessions[number::PROCESSES] for number in range(PROCESSES)]
        self._environment = {**os.environ, "CONTEST_KEY": key}
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._processes = [self._started(part) for part in self._parts]
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def play(self, *, until: Any) -> int:
        """Fire timers and kill processes until all is done. Return how many were killed."""
        from apps.timers.services import fire_due

        chance, kills, ends = random.Random(), 0, time.monotonic() + LONGEST_SECONDS
        kill_at = time.monotonic() + chance.uniform(*KILL_EVERY)
        while not until():
            assert time.monotonic() < ends, "the contest does not end"
            fire_due()
            if time.monotonic() >= kill_at:
                number = chance.randrange(PROCESSES)
                self._processes[number].kill()
                self._processes[number].wait()
                self._processes[number] = self._started(self._parts[number])
                kills += 1
                kill_at = time.monotonic() + chance.uniform(*KILL_EVERY)
            time.sleep(0.1)
        return kills

    def _started(self, part: Sequence[str]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "bench.claims_contest", "--folder", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--race", *part],
                cwd=PROJECT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


LEFT = """
SELECT count(*) FROM tasks_task WHERE pool_id = %s AND status <> 'completed'
"""
LOG = """
SELECT run_id::text, type, actor_ref, payload::text, occurred_at FROM operations_logentry
WHERE task_id IN (SELECT id FROM tasks_task WHERE pool_id = %s) ORDER BY task_id, sequence
"""
RUNS = """
SELECT r.id::text, r.status, r.output ->> 'by', t.status, t.output ->> 'by'
FROM tasks_task t LEFT JOIN tasks_run r ON r.task_id = t.id WHERE t.pool_id = %s
"""
CLAIMS = """
SELECT c.run_id::text, s.session_id FROM agents_agentclaim c
JOIN agents_agentsession s ON s.id = c.session_id WHERE c."end" = 'completed'
"""
LOADS = "SELECT count(*) FROM pools_worker WHERE load <> 0"


def _left(workspace: Any) -> int:
    return int(_query(LEFT, [workspace])[0][0])


def _query(statement: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def _faults(workspace: Any, runs: int, told: Sequence[str]) -> list[str]:
    by_run: dict[str, list[Entry]] = defaultdict(list)
    for run, kind, actor, payload, at in _query(LOG, [workspace]):
        by_run[run].append(Entry(run, kind, actor, json.loads(payload), at))
    faults = [fault for entries in by_run.values() for fault in judge(entries)]
    completed_by = {
        run: entry.actor
        for run, entries in by_run.items()
        for entry in entries
        if entry.kind == "task.run_completed"
    }
    print(f"{sum(map(len, by_run.values())):,} entries of {len(by_run):,} runs were judged")
    if len(completed_by) != runs:
        faults.append(f"{len(completed_by)} of {runs} runs were completed")
    acknowledged = Counter(line.split()[0] for line in told)
    faults += [f"{run} was told as completed {n} times" for run, n in acknowledged.items() if n > 1]
    faults += [
        f"{line}: told, but not in the log"
        for line in told
        if completed_by.get(line.split()[0]) != line.split()[1]
    ]
    for run, status, by, task_status, task_by in _query(RUNS, [workspace]):
        wanted = completed_by.get(run)
        if (status, by, task_status, task_by) != ("completed", wanted, "completed", wanted):
            faults.append(f"{run}: {status} by {by}, its task {task_status} by {task_by}")
    if dict(_query(CLAIMS)) != completed_by:
        faults.append("the claims that ended with a completion are not those of the log")
    if _query(LOADS) != [(0,)]:
        faults.append("a worker has a load, though nothing is held")
    return faults


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
