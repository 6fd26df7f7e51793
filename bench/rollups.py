"""Measure what the roll-ups of tasks cost, and how fast the board reads them.

1. **Creates**: the service's own web process and one without roll-ups take turns in one run, as in
   create.py. Every response must be a 201 and every row must be stored, or the run fails.
2. **Offers**: a lifecycle process with roll-ups and one without take turns in offering queued tasks
   to 2,000 workers, as in matching.py.
3. **Board**: with 1,000,000 tasks in 20 pools, 5,000 workers, histograms of three hours, eight days
   and 60 days of busy hours, 200 parked requirements and changes that are not folded, the board is
   read for several ranges, by an actor that sees all and by one of a few pools.

Exit code 1 when roll-ups cost more than `MOST` of a rate, or the board's p95 is above `MOST_MS`.
"""

import argparse
import contextlib
import json
import random
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.contest import Contestant, RowsMismatch, play, table  # noqa: E402 - after the path
from bench.cpu import cpu_seconds, processes_below  # noqa: E402
from bench.home import home_for_this_run  # noqa: E402
from bench.load import Load, LoadFailed, drive, post_requests  # noqa: E402
from bench.servers import (  # noqa: E402
    PRODUCT,
    NotStarted,
    Shape,
    free_port,
    postgres_pid,
    prepared,
    running,
    serving,
)
from config import embedded  # noqa: E402
from config.processes import QUIET_ROOT, worker_command  # noqa: E402

MOST = 0.05
MOST_MS = 25.0
CONNECTIONS = 16
MARK = b"#" * 12
UNLIMITED = {"BIOLAYER_RATE_LIMIT": "100000000"}
WITHOUT = "bench.uncounted_web:application"
VARIANTS = (("with roll-ups", PRODUCT, 1), ("without", WITHOUT, 0))

WORKERS = 2_000
UNITS = 6
QUEUED = 5_000

TASKS = 1_000_000
STAFF = 5_000
UNFOLDED = 3_000
READS = 100

PARTS = ("creates", "offers", "board")


def main() -> None:
    options = _arguments()
    costs: dict[str, float] = {}
    slowest = 0.0
    try:
        for part in options.parts or PARTS:
            with home_for_this_run(**UNLIMITED) as home:
                if part == "creates":
                    costs[part] = _creates(home, options)
                elif part == "offers":
                    costs[part] = _offers(home, options.rounds)
                else:
                    slowest = _board(options.tasks)
    except (LoadFailed, NotStarted, RowsMismatch) as error:
        sys.exit(f"the measurement failed: {error}")
    missed = [f"{part} are {cost:.1%} slower" for part, cost in costs.items() if cost > MOST]
    if slowest > MOST_MS:
        missed.append(f"the board's p95 is {slowest:.1f} ms")
    if missed:
        sys.exit("missed: " + "; ".join(missed))


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all without any")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=float, default=5.0, help="of each turn of creates")
    options.add_argument("--tasks", type=int, default=TASKS, help="of the board")
    return options.parse_args()


# --- creates --------------------------------------------------------------------------------------


def _creates(home: Path, options: argparse.Namespace) -> float:
    with _contestants(home) as contestants:
        play(contestants, rounds=options.rounds, seconds=options.seconds)
    print(table("creates per second", contestants))
    ours, bare = contestants
    pairs = [one / other for one, other in zip(ours.rates, bare.rates, strict=True)]
    cpu = [sum(map(one.cpu_ms, one.pids)) for one in contestants]
    cost = 1 - statistics.median(pairs)
    print(
        f"roll-ups cost {cost:.1%} of the rate, the median of {len(pairs)} pairs of turns;", end=""
    )
    print(f" processor time: {cpu[0]:.3f} ms instead of {cpu[1]:.3f} ms\n", flush=True)
    return cost


@contextlib.contextmanager
def _contestants(home: Path) -> Iterator[list[Contestant]]:
    access = prepared("bench.product")
    database, postgres = embedded.database_url(home), postgres_pid(home)
    with contextlib.ExitStack() as stack:
        contestants = []
        for number, (name, application, changes) in enumerate(VARIANTS):
            port, log = free_port(), home / "logs" / f"variant-{number}.log"
            command = Shape().command(application, port=port)
            web = stack.enter_context(serving(command, port=port, log=log))
            load = _Load(port, access["api_key"], access["body"], product=str(number))
            rows = {"tasks_task": 1, "events_event": 1, "operations_taskchange": changes}
            pids = {"web": web, "PG": postgres}
            contestants.append(Contestant(name, load, database, rows, pids=pids))
        yield contestants


class _Load:
    """Create tasks on one server; every request has a natural key of its own."""

    def __init__(self, port: int, api_key: str, body: dict[str, Any], *, product: str) -> None:
        marked = body | {"origin": body["origin"] | {"request_id": product + MARK.decode()}}
        self._port = port
        self._requests = post_requests(
            path="/v1/tasks", api_key=api_key, template=json.dumps(marked).encode(), mark=MARK
        )

    def __call__(self, seconds: float) -> Load:
        return drive(
            port=self._port,
            requests=self._requests,
            connections=CONNECTIONS,
            seconds=seconds,
            expected=201,
        )


# --- offers ---------------------------------------------------------------------------------------


def _offers(home: Path, rounds: int) -> float:
    from bench import crowd

    _, pool, actor = crowd.prepare()
    crowd.enrol(pool, count=WORKERS, capacity=UNITS)
    apps = {"with roll-ups": "config.celery", "without": "bench.uncounted"}
    rates: dict[str, list[float]] = {name: [] for name in apps}
    cpu: dict[str, list[float]] = {name: [] for name in apps}
    for number in range(rounds + 1):
        for name in list(apps) if number % 2 else list(apps)[::-1]:
            crowd.reset()
            skills = crowd.skills_of_tasks(random.Random(number))
            crowd.queue_up(actor, pool, skills, count=QUEUED)
            rate, spent = _rate(home, apps[name])
            if number:  # The first round is to warm up.
                rates[name].append(rate)
                cpu[name].append(spent)
    for name, values in rates.items():
        print(f"offers a second {name:<14} median {statistics.median(values):.0f}", end=", ")
        print(f"from {min(values):.0f} to {max(values):.0f}", end="; ")
        print(f"processor time of one: {statistics.median(cpu[name]):.3f} ms")
    ours, bare = (statistics.median(values) for values in cpu.values())
    cost = 1 - bare / ours
    print(f"so roll-ups cost {cost:.1%} of the rate where the processor is the limit\n", flush=True)
    return cost


def _rate(home: Path, app: str) -> tuple[float, float]:
    """Return the offers a second, and the milliseconds of processor time of each.

    The start of the process is part of the latter.
    """
    from bench import crowd

    command = list(worker_command(name="lifecycle", queues="lifecycle"))
    command[command.index("config.celery")] = app
    postgres = postgres_pid(home)
    before = cpu_seconds(processes_below(postgres))
    log = home / "logs" / "lifecycle.log"
    with running(command, log=log, environment={**QUIET_ROOT}) as process:
        count, rate = crowd.offered_until_quiet()
        spent = cpu_seconds(processes_below(process.pid))
        spent += cpu_seconds(processes_below(postgres)) - before
    if count < QUEUED * 0.9:
        raise LoadFailed(f"only {count} of {QUEUED} tasks were offered")
    return rate, spent / count * 1000


# --- the board ------------------------------------------------------------------------------------

HISTORY = """
INSERT INTO operations_tasktiming
    (organisation_id, pool_ids, measure, granularity, begins_at, bucket, number)
SELECT %(organisation)s, sets.pool_ids, measure, granularity, begins_at, bucket, 1 + bucket %% 7
FROM (VALUES ('minute', interval '1 minute', interval '3 hours', 35),
        ('hour', '1 hour', '8 days', 70), ('day', '1 day', '60 days', 90))
    AS kept (granularity, length, since, buckets)
CROSS JOIN LATERAL generate_series(date_trunc(granularity, now() - since, 'UTC'), now(), length)
    AS begins_at
CROSS JOIN unnest(ARRAY['queue_to_offer', 'offer_to_accept', 'accept_to_submit',
    'create_to_complete']) AS measure
CROSS JOIN LATERAL generate_series(30, 30 + buckets) AS bucket
CROSS JOIN (
    SELECT ARRAY[pool_id] AS pool_ids FROM unnest(%(pools)s::uuid[]) AS pool_id
    UNION ALL SELECT %(all_tasks)s::uuid[]) AS sets
"""
FLOWS = """
INSERT INTO operations_tasktiming
    (organisation_id, pool_ids, measure, granularity, begins_at, bucket, number)
SELECT organisation_id, pool_ids, flow, granularity, begins_at, 0, 100
FROM operations_tasktiming
CROSS JOIN unnest(ARRAY['created', 'completed', 'failed', 'cancelled', 'breached']) AS flow
WHERE measure = 'queue_to_offer' AND bucket = 30
"""
CHANGES = """
INSERT INTO operations_taskchange (organisation_id, pool_ids, domain, left_stage, left_sla, stage,
    sla, number, measure, bucket, occurred_at)
SELECT %(organisation)s, ARRAY[(%(pools)s::uuid[])[1 + n %% 20]], 'security', 'waiting', 'none',
    'offered', 'none', 1, 'queue_to_offer', 40 + n %% 20, now()
FROM generate_series(1, %(count)s) AS n
"""
STAFFED = """
INSERT INTO pools_worker (id, organisation_id, kind, name, presence, presence_reason, skills,
    skill_levels, languages, trust_level, rating, rating_count, capacity, load, missed_in_row,
    hours, time_zone, is_on_shift)
SELECT uuidv7(), %(organisation)s, 'human', 'Worker ' || n, 'available', '',
    ARRAY['skill-' || n %% 50, 'skill-' || (n + 7) %% 50], '{}', '{}', 0, 0, 0, 3, n %% 4, 0, '{}',
    'UTC', true
FROM generate_series(1, %(count)s) AS n
"""
MEMBERS = """
INSERT INTO pools_membership (id, organisation_id, pool_id, worker_id)
SELECT uuidv7(), w.organisation_id, p.id, w.id FROM pools_worker w
JOIN (SELECT id, row_number() OVER () AS n FROM pools_pool
    WHERE organisation_id = %(organisation)s) p ON true
WHERE w.organisation_id = %(organisation)s AND hashtext(w.name) %% 20 + p.n = 20
ON CONFLICT DO NOTHING
"""
PARKED = """
WITH required AS (
    INSERT INTO tasks_requirement (id, organisation_id, task_type, abilities, preferred,
        certifications, trust_level, min_rating)
    SELECT uuidv7(), %(organisation)s, 'verification', ARRAY['skill-' || n %% 50, 'rare-' || n],
        '{}', '{}', 0, 0
    FROM generate_series(1, 200) AS n RETURNING id
)
INSERT INTO matching_parkedrequirement (requirement_id, organisation_id, parked_at)
SELECT id, %(organisation)s, now() FROM required
"""
WAITING = """
UPDATE tasks_task t SET requirement_id = parked.id
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM tasks_task
    WHERE organisation_id = %(organisation)s AND status = 'queued') queued
JOIN (SELECT requirement_id AS id, row_number() OVER (ORDER BY requirement_id) AS n
    FROM matching_parkedrequirement) parked ON parked.n = 1 + queued.n %% 200
WHERE t.id = queued.id
"""


def _board(tasks: int) -> float:
    """Return the slowest p95 of all ranges and actors, in milliseconds."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from bench.lists_data import fill

    owner, _ = fill(tasks)
    add_history(owner)
    from dataclasses import replace
    from datetime import timedelta

    from apps.accounts.principal import system
    from apps.base import clock
    from apps.operations.selectors import board

    whole = system("bench", owner.organisation_id)
    some = replace(whole, pool_ids=frozenset(owner.pool_ids[:4]))
    slowest = 0.0
    for name, actor in {"all pools": whole, "four pools": some}.items():
        for hours in (1, 3, 24, 7 * 24, 60 * 24):
            times = []
            for _ in range(READS):
                until = clock.now()
                began = time.perf_counter()
                shown = board(
                    actor=actor, since=until - timedelta(hours=hours), until=until, at=until
                )
                times.append((time.perf_counter() - began) * 1000)
            assert shown.total.waiting > 0
            p50, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
            slowest = max(slowest, p95)
            print(f"board of {name}, {hours} h: p50 {p50:.1f} ms, p95 {p95:.1f} ms", flush=True)
    return slowest


def add_history(owner: Any) -> None:
    from django.db import connection

    from apps.operations.buckets import ALL_TASKS
    from apps.operations.services import fold_changes, recount

    values = {
        "organisation": owner.organisation_id,
        "pools": list(owner.pool_ids),
        "all_tasks": list(ALL_TASKS),
    }
    with connection.cursor() as cursor:
        for sql in (HISTORY, FLOWS, PARKED, WAITING):
            cursor.execute(sql, values)
        cursor.execute(STAFFED, {**values, "count": STAFF})
        cursor.execute(MEMBERS, values)
        began = time.perf_counter()
        recount()
        print(f"recount: {(time.perf_counter() - began) * 1000:.0f} ms")
        while fold_changes():
            pass
        cursor.execute(CHANGES, {**values, "count": UNFOLDED})
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("SELECT count(*) FROM operations_tasktiming")
        print(f"{cursor.fetchone()[0]:,} rows of histograms", flush=True)


if __name__ == "__main__":
    main()
