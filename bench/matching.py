"""Measure how fast tasks are offered, and what a decision costs as the number of workers grows.

1. **Decisions**: the time to assign a batch of queued tasks (read requirements, tasks and eligible
   workers, and assign), with 1,000, 10,000 and 100,000 workers; beside the plain design, one query
   for each task (`skills @> …` with a GIN index, sorted by load and waiting time). Nothing is
   written. 10,000 tasks are queued, with some 1,300 requirements of one or two of 50 skills.
2. **Assignment**: the total score of a batch beside the optimum, greedy choice in order of arrival,
   and fewest fits first, with hardly more workers than tasks.
3. **Offers**: the lifecycle process offers 10,000 queued tasks to 2,000 workers of six units each,
   with all rows: events, webhook messages, offers, timers. From the first offer to the last.
4. **Newly queued**: 10,000 tasks require a skill that no worker has; 2,000 workers are available;
   new tasks are posted at a steady rate. From the moment at which a task was queued to its offer.
5. **Freed**: 2,000 workers of one unit are full, and 8,000 tasks wait for them; one worker after
   the other becomes free. From then to its next offer.
6. **Many organisations**: each of 1,000 others has a task whose requirement is parked; new tasks of
   one organisation are posted at a steady rate, as in 4.

Exit with 1 when a target is missed.
"""

import argparse
import random
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first
from bench.load import LoadFailed  # noqa: E402
from bench.servers import running  # noqa: E402
from config.processes import QUIET_ROOT, worker_command  # noqa: E402

CROWDS = (1_000, 10_000, 100_000)
QUEUED = 10_000
WORKERS = 2_000
ORGANISATIONS = 1_000
UNITS = 6
TIMES_PLAIN = 10.0
MOST_GROWTH = 3.0
OFFERS = 250.0
P50_MS = 150.0
P99_MS = 1000.0
BEST_SHARE = 0.95

PLAIN = """
SELECT w.id FROM pools_worker w
WHERE w.organisation_id = %s AND w.presence = 'available' AND w.load < w.capacity
    AND w.skills @> %s::varchar[]
ORDER BY w.load::float / w.capacity, w.waiting_since, w.rating DESC, w.id LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold the microseconds of a decision with a number of workers: medians of several batches."""

    workers: int
    ours: float
    plain: float


def main() -> None:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with home_for_this_run() as home:
            costs = list(_costs(options.batches))
            shares = _shares()
            rate, latencies = _offers(home, options)
    except LoadFailed as error:
        sys.exit(f"the measurement failed: {error}")
    print(_table(costs))
    print(
        "\ntotal score of a batch, the optimum being 1: "
        + ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
    )
    print(f"\noffers a second, with all their rows: {rate:.0f}")
    for since, values in latencies.items():
        print(
            f"{since}, at {options.rate}/s: p50 {_percentile(values, 50):.0f} ms,"
            f" p99 {_percentile(values, 99):.0f} ms, of {len(values)}"
        )
    missed = list(_missed(costs, shares, rate, latencies))
    if missed:
        sys.exit("missed: " + "; ".join(missed))


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--batches", type=int, default=9, help="of decisions, for each number of workers"
    )
    options.add_argument("--rate", type=int, default=50, help="new tasks a second")
    options.add_argument("--seconds", type=float, default=20.0, help="of new tasks")
    return options.parse_args()


# --- decisions ------------------------------------------------------------------------------------


def _costs(batches: int) -> Iterator[Cost]:
    from bench import crowd

    organisation, pool, actor = crowd.prepare()
    crowd.queue_up(actor, pool, crowd.skills_of_tasks(random.Random(1)), count=QUEUED)
    enrolled = 0
    for size in CROWDS:
        crowd.enrol(pool, count=size - enrolled, capacity=UNITS)
        enrolled = size
        measured = [
            (_our_batch(organisation.id), _plain_batch(organisation.id)) for _ in range(batches)
        ]
        ours, plain = zip(*measured, strict=True)
        yield Cost(size, statistics.median(ours), statistics.median(plain))


def _our_batch(organisation_id: Any) -> float:
    from apps.base import clock
    from apps.matching import task_queue
    from apps.matching.fair_share import MAX_BATCH
    from apps.matching.services.batch import Batch

    at = clock.now()
    began = time.perf_counter()
    requirements = task_queue.queued_requirements(organisation_id=organisation_id, at=at)
    tasks = task_queue.first_tasks(
        organisation_id=organisation_id, requirements=requirements, limit=MAX_BATCH
    )
    assignments = Batch(tasks, at).assign()
    spent = time.perf_counter() - began
    if len(assignments) != MAX_BATCH:
        raise LoadFailed(f"{len(assignments)} of {MAX_BATCH} tasks got a worker")
    return spent / len(assignments) * 1e6


def _plain_batch(organisation_id: Any) -> float:
    from django.db import connection

    from apps.matching.fair_share import MAX_BATCH
    from apps.tasks.models import Task

    tasks = list(Task.objects.filter(status="queued").order_by("sort_at", "id")[:MAX_BATCH])
    began = time.perf_counter()
    with connection.cursor() as cursor:
        for task in tasks:
            cursor.execute(PLAIN, [organisation_id, task.skills])
            cursor.fetchone()
    return (time.perf_counter() - began) / len(tasks) * 1e6


# --- assignment -----------------------------------------------------------------------------------


def _shares(*, size: int = 128, workers: int = 140, fits: float = 0.08) -> dict[str, float]:
    """Return the share of the optimum's total score that each way to assign reaches."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    from bench import batches

    shares: dict[str, list[float]] = {}
    for seed in range(20):
        scene = batches.scene(random.Random(seed), tasks=size, workers=workers, fits=fits)
        rows, columns = linear_sum_assignment(
            np.where(scene.scores > 0, scene.scores, 0), maximize=True
        )
        best = float(scene.scores[rows, columns].clip(min=0).sum())
        for name, total in scene.totals().items():
            shares.setdefault(name, []).append(total / best)
    return {name: statistics.mean(values) for name, values in shares.items()}


# --- offers ---------------------------------------------------------------------------------------


def _offers(home: Path, options: argparse.Namespace) -> tuple[float, dict[str, list[float]]]:
    from bench import crowd

    crowd.reset()
    # Another organisation: the workers of the first stay as they are.
    _, pool, actor = crowd.prepare()
    crowd.enrol(pool, count=WORKERS, capacity=UNITS)
    chance = random.Random(2)
    pace = {"rate": options.rate, "seconds": options.seconds}
    crowd.queue_up(actor, pool, crowd.skills_of_tasks(chance), count=QUEUED)
    with _worker(home):
        rate = _drained()
        crowd.reset()
        crowd.queue_up(
            actor, pool, crowd.skills_of_tasks(chance, extra=["unheard-of"]), count=QUEUED
        )
        beside = crowd.posted_steadily(actor, pool, crowd.skills_of_tasks(chance), **pace)
        crowd.reset()
        crowd.add_others_with_parked_tasks(ORGANISATIONS)
        others = crowd.posted_steadily(actor, pool, crowd.skills_of_tasks(chance), **pace)
        crowd.reset()
        _, pool, actor = crowd.prepare()
        crowd.enrol(pool, count=WORKERS, capacity=1)
        crowd.queue_up(actor, pool, crowd.skills_of_tasks(chance), count=QUEUED)
        crowd.wait_for_offers(WORKERS)
        freed = crowd.freed_steadily(pool, **pace)
    return rate, {
        f"queued to offered beside {QUEUED} parked tasks": beside,
        f"queued to offered beside {ORGANISATIONS} parked organisations": others,
        "free to offered while thousands wait": freed,
    }


@contextmanager
def _worker(home: Path) -> Iterator[None]:
    command = worker_command(name="lifecycle", queues="lifecycle")
    with running(command, log=home / "logs" / "lifecycle.log", environment={**QUIET_ROOT}):
        yield


def _drained() -> float:
    """Return the offers a second, until no worker fits the rest."""
    from bench import crowd

    count, rate = crowd.offered_until_quiet()
    if count < QUEUED * 0.9:
        raise LoadFailed(f"only {count} of {QUEUED} tasks were offered")
    return rate


# --- the result -----------------------------------------------------------------------------------


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def _table(costs: Sequence[Cost]) -> str:
    lines = [f"{'µs for each decision':<24}{'ours':>10}{'plain':>10}{'ours is':>12}"]
    lines += [
        f"{cost.workers:>9} workers       {cost.ours:>10.0f}{cost.plain:>10.0f}"
        f"{cost.plain / cost.ours:>10.1f} x"
        for cost in costs
    ]
    return "\n".join(lines)


def _missed(
    costs: Sequence[Cost],
    shares: dict[str, float],
    rate: float,
    latencies: dict[str, list[float]],
) -> Iterator[str]:
    if costs[-1].plain < TIMES_PLAIN * costs[-1].ours:
        yield f"ours is less than {TIMES_PLAIN:g} times as fast as the plain design"
    if costs[-1].ours > MOST_GROWTH * costs[0].ours:
        yield f"a decision's cost grows by more than {MOST_GROWTH:g} times"
    if shares["ours"] < BEST_SHARE:
        yield f"less than {BEST_SHARE:g} of the best total score"
    if rate < OFFERS:
        yield f"fewer than {OFFERS:g} offers a second"
    for since, values in latencies.items():
        if _percentile(values, 50) > P50_MS or _percentile(values, 99) > P99_MS:
            yield f"{since} takes more than {P50_MS:g} ms (p50) or {P99_MS:g} ms (p99)"


if __name__ == "__main__":
    main()
