"""100,000 operations that race each other, from 32 threads in four processes, with random kills.

Accepts, declines, expiries, cancels, releases, starts, submissions, matching, and writes with epochs
that are over. One process in four is killed by `kill -9` every few seconds, and replaced. Then
everything is counted anew:

- nobody's load differs from the units of its open offers and held runs, and none exceeds its capacity;
- no task has two holders, no run two, and no task is held without an open run;
- no stale write was taken, and nothing went wrong otherwise;
- each task's log has no gap, and ends with the task's status.

Exit code 1 when something is off.
"""

import argparse
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first

PROCESSES = 4
WORKERS = 60
PLACES = 3
LONGEST_SECONDS = 3_600.0

CHECKS = {
    "workers whose load is not the sum of what they hold": """
SELECT count(*) FROM pools_worker w WHERE w.load <> (
    SELECT coalesce(sum(o.units), 0) FROM matching_offer o
    WHERE o.worker_id = w.id AND o.status = 'open') + (
    SELECT coalesce(sum(r.units), 0) FROM tasks_run r
    WHERE r.worker_id = w.id AND r.status IN ('claimed', 'starting', 'running'))""",
    "workers who have more than their capacity": """
SELECT count(*) FROM pools_worker WHERE load > capacity OR load < 0""",
    "tasks with more than one open run": """
SELECT count(*) FROM (SELECT task_id FROM tasks_run
    WHERE status NOT IN ('completed', 'failed', 'canceled') GROUP BY task_id HAVING count(*) > 1) t""",
    "held tasks whose run somebody else holds": """
SELECT count(*) FROM tasks_task t WHERE t.status IN ('accepted', 'started') AND NOT EXISTS (
    SELECT FROM tasks_run r WHERE r.task_id = t.id AND r.worker_id = t.worker_id
        AND r.status IN ('claimed', 'starting', 'running'))""",
    "runs that are held though their task is not": """
SELECT count(*) FROM tasks_run r JOIN tasks_task t ON t.id = r.task_id
WHERE r.status IN ('claimed', 'starting', 'running') AND t.status NOT IN ('accepted', 'started')""",
    "open offers of tasks that are not offered": """
SELECT count(*) FROM matching_offer o JOIN tasks_task t ON t.id = o.task_id
WHERE o.status = 'open' AND t.status <> 'offered'""",
    "offered tasks without an open offer": """
SELECT count(*) FROM tasks_task t WHERE t.status = 'offered' AND NOT EXISTS (
    SELECT FROM matching_offer o WHERE o.task_id = t.id AND o.status = 'open')""",
    "tasks whose log has a gap or another end": """
SELECT count(*) FROM tasks_task t CROSS JOIN LATERAL (
    SELECT count(*) AS events, max(e.sequence) AS latest,
        (array_agg(e.status ORDER BY e.sequence DESC))[1] AS status
    FROM events_event e WHERE e.task_id = t.id) log
WHERE (t.version, t.version, t.status) IS DISTINCT FROM (log.events, log.latest, log.status)""",
}


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--operations", type=int, default=100_000)
    options.add_argument("--threads", type=int, default=32, help="in four processes")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    said = options.parse_args()
    with home_for_this_run() as home:
        kills, operations = _race(home, said)
        wrong = _wrong(home)
    print(f"{operations} operations, {kills} kills (seed {said.seed})")
    for what, count in wrong.items():
        print(f"{count:>6} {what}")
    if any(wrong.values()):
        sys.exit("something is off")


def _race(home: Path, said: argparse.Namespace) -> tuple[int, int]:
    from bench import crowd

    _, pool, key = crowd.prepare_with_key()
    crowd.enrol(pool, count=WORKERS, capacity=PLACES)
    chance = random.Random(said.seed)
    counts = home / "counts"
    counts.mkdir()
    command = [sys.executable, "-m", "bench.racer", "--key", key, "--pool", str(pool.id)]
    command += ["--threads", str(said.threads // PROCESSES), "--counts", str(counts)]
    kills = 0
    began = time.monotonic()
    with ExitStack() as stack:

        def started() -> "subprocess.Popen[bytes]":
            seed = str(chance.randrange(10**6))
            process = subprocess.Popen([*command, "--seed", seed], cwd=PROJECT)
            stack.callback(_end, process)
            return process

        racing = [started() for _ in range(PROCESSES)]
        while _operations(counts) < said.operations:
            if time.monotonic() - began > LONGEST_SECONDS:
                sys.exit("it takes too long")
            time.sleep(chance.uniform(5, 12))
            number = chance.randrange(PROCESSES)
            _end(racing[number])
            kills += 1
            racing[number] = started()
    return kills, _operations(counts)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def _operations(counts: Path) -> int:
    file = counts / "operations"
    return file.stat().st_size if file.exists() else 0


def _wrong(home: Path) -> dict[str, int]:
    from django.db import connection

    failures = home / "counts" / "failures"
    if failures.exists():
        print(failures.read_text()[-4000:], file=sys.stderr)
    wrong = {"failures told by the racers": int(failures.exists())}
    with connection.cursor() as cursor:
        for what, sql in CHECKS.items():
            cursor.execute(sql)
            wrong[what] = cursor.fetchone()[0]
    return wrong


if __name__ == "__main__":
    main()
