"""Run 100,000 concurrent operations from 32 threads in four processes, with random kills.

Accepts, declines, expiries, cancels, releases, starts, submissions, matching, and writes with old
epochs. One of four processes is killed by `kill -9` every few seconds, and replaced. Then
everything is counted again:

- each worker's load equals the units of its open offers and held runs, and is within its capacity;
- no task and no run has two workers, and no task is held without an open run;
- no stale write was accepted, and no operation failed unexpectedly;
- each task's log has no gap, and ends with the task's status;
- the roll-ups of operators equal a recount of the open tasks, before they are folded and after it.

Exit code 1 when a check fails.
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
    "workers whose load is not the sum of their offers and runs": """
SELECT count(*) FROM pools_worker w WHERE w.load <> (
    SELECT coalesce(sum(o.units), 0) FROM matching_offer o
    WHERE o.worker_id = w.id AND o.status = 'open') + (
    SELECT coalesce(sum(r.units), 0) FROM tasks_run r
    WHERE r.worker_id = w.id AND r.status IN ('claimed', 'starting', 'running'))""",
    "workers over their capacity": """
SELECT count(*) FROM pools_worker WHERE load > capacity OR load < 0""",
    "tasks with more than one open run": """
SELECT count(*) FROM (SELECT task_id FROM tasks_run
    WHERE status NOT IN ('completed', 'failed', 'canceled')
    GROUP BY task_id HAVING count(*) > 1) t""",
    "held tasks whose run another worker holds": """
SELECT count(*) FROM tasks_task t WHERE t.status IN ('accepted', 'started') AND NOT EXISTS (
    SELECT FROM tasks_run r WHERE r.task_id = t.id AND r.worker_id = t.worker_id
        AND r.status IN ('claimed', 'starting', 'running'))""",
    "held runs of tasks that are not held": """
SELECT count(*) FROM tasks_run r JOIN tasks_task t ON t.id = r.task_id
WHERE r.status IN ('claimed', 'starting', 'running') AND t.status NOT IN ('accepted', 'started')""",
    "open offers of tasks that are not offered": """
SELECT count(*) FROM matching_offer o JOIN tasks_task t ON t.id = o.task_id
WHERE o.status = 'open' AND t.status <> 'offered'""",
    "offered tasks without an open offer": """
SELECT count(*) FROM tasks_task t WHERE t.status = 'offered' AND NOT EXISTS (
    SELECT FROM matching_offer o WHERE o.task_id = t.id AND o.status = 'open')""",
    "tasks whose log has a gap or ends differently": """
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
    arguments = options.parse_args()
    with home_for_this_run() as home:
        kills, operations = _race(home, arguments)
        failed = _failed_checks(home)
    print(f"{operations} operations, {kills} kills (seed {arguments.seed})")
    for check, count in failed.items():
        print(f"{count:>6} {check}")
    if any(failed.values()):
        sys.exit("a check failed")


def _race(home: Path, arguments: argparse.Namespace) -> tuple[int, int]:
    from bench import crowd

    _, pool, key = crowd.prepare_with_key()
    from apps.operations.services import recount

    recount()  # The first one of an installation reports no drift.
    crowd.enrol(pool, count=WORKERS, capacity=PLACES)
    generator = random.Random(arguments.seed)
    counts = home / "counts"
    counts.mkdir()
    command = [sys.executable, "-m", "bench.racer", "--key", key, "--pool", str(pool.id)]
    command += ["--threads", str(arguments.threads // PROCESSES), "--counts", str(counts)]
    kills = 0
    began = time.monotonic()
    with ExitStack() as stack:

        def start() -> "subprocess.Popen[bytes]":
            seed = str(generator.randrange(10**6))
            process = subprocess.Popen([*command, "--seed", seed], cwd=PROJECT)
            stack.callback(_end, process)
            return process

        racing = [start() for _ in range(PROCESSES)]
        while _operations(counts) < arguments.operations:
            if time.monotonic() - began > LONGEST_SECONDS:
                sys.exit("not finished within an hour")
            time.sleep(generator.uniform(5, 12))
            number = generator.randrange(PROCESSES)
            _end(racing[number])
            kills += 1
            racing[number] = start()
    return kills, _operations(counts)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def _operations(counts: Path) -> int:
    file = counts / "operations"
    return file.stat().st_size if file.exists() else 0


def _failed_checks(home: Path) -> dict[str, int]:
    from django.db import connection

    failures = home / "counts" / "failures"
    if failures.exists():
        print(failures.read_text()[-4000:], file=sys.stderr)
    counts = {"failures reported by the racers": int(failures.exists())}
    with connection.cursor() as cursor:
        for check, sql in CHECKS.items():
            cursor.execute(sql)
            counts[check] = cursor.fetchone()[0]
    return counts | _drifts()


def _drifts() -> dict[str, int]:
    """Return by how many tasks the roll-ups differ from a recount."""
    from apps.operations.services import fold_changes, recount

    drifts = {"tasks by which roll-ups differ from a recount": recount() or 0}
    while fold_changes():
        pass
    drifts["tasks by which they differ once they are folded"] = recount() or 0
    return drifts


if __name__ == "__main__":
    main()
