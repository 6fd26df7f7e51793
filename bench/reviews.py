"""Measure how many reviews are decided in a second, beside the submissions that ask for them.

Both are calls of `/v1` by threads of one process, with everything that a request does but the
socket: authentication, limits, the transaction, the response. They alternate in one run, in blocks:
submissions without a policy, submissions that wait for a review, verdicts (approve, rework and
reject in turn, with a rating).

In the end each review has one verdict, one event, and a task that followed it.

Target: verdicts per second ≥ 0.5 of submissions per second without a policy. Exit code 1 otherwise.
"""

import argparse
import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first

TARGET = 0.5
THREADS = 4


def main() -> None:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with home_for_this_run():
        _prepare()
        if options.contest:
            _contest(options.contest)
            return
        rates = _measure(options.rounds, options.block)
        _check(options.rounds * options.block)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, value in medians.items():
        print(f"{name:32} {value:6.0f} a second, of {[round(one) for one in rates[name]]}")
    ratio = medians["verdicts"] / medians["submissions"]
    print(f"verdicts / submissions: {ratio:.2f} (target ≥ {TARGET})")
    if ratio < TARGET:
        sys.exit("missed: the target")


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--block", type=int, default=200)
    options.add_argument(
        "--contest", type=int, default=0, help="instead: so many reviews, 40 reviewers, and kills"
    )
    return options.parse_args()


def _prepare() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    settings.RATE_LIMIT_PER_MINUTE = 1_000_000
    call_command("migrate", verbosity=0)


def _contest(count: int) -> None:
    """Have 40 reviewers decide on many reviews while connections to the database are cut."""
    from tests.concurrency.test_reviews import REVIEWERS, contest
    from tests.factories import House

    began = time.monotonic()
    cut = contest(House.build(), count)
    seconds = time.monotonic() - began
    print(f"{count} reviews by {REVIEWERS} reviewers with {cut} cut connections: {seconds:.0f} s")
    print("none decided twice, none lost, none by the worker itself")


def _measure(rounds: int, block: int) -> dict[str, list[float]]:
    from apps.pools.models import Pool
    from apps.reviews.models import Review
    from tests.factories import House
    from tests.review_steps import reviewer, set_policy, workforce

    house = House.build()
    callers, rita = workforce(house), reviewer(house)
    rates: dict[str, list[float]] = {"submissions": [], "submissions for reviews": []}
    rates["verdicts"] = []
    for number in range(rounds + 1):
        Pool.objects.update(review_policy=None)
        without = _submitted(house, callers, block)
        set_policy(house.pool, max_rework=10)
        waiting = _submitted(house, callers, block)
        ids = [str(one) for one in Review.objects.open().values_list("id", flat=True)]
        decided = _rate([_verdict(rita.key, one, turn) for turn, one in enumerate(ids)])
        _cancel_queued(house)
        if number:  # The first round warms up.
            rates["submissions"].append(without)
            rates["submissions for reviews"].append(waiting)
            rates["verdicts"].append(decided)
    return rates


def _cancel_queued(house: Any) -> None:
    """Cancel what was sent back: it is not done again here."""
    from apps.base import clock
    from apps.tasks import services as tasks
    from apps.tasks.models import Task

    ids = list(Task.objects.filter(status="queued").values_list("id", flat=True))
    tasks.cancel_tasks(actor=house.alice.principal, task_ids=ids, reason="", at=clock.now())


Call = Callable[[], None]


def _submitted(house: Any, callers: Sequence[Any], count: int) -> float:
    """Return how many runs were submitted in a second."""
    from tests.factories import OUTPUT
    from tests.review_steps import many_started

    def submission(caller: Any, run: Any) -> Call:
        body = {"epoch": run.epoch, "output": OUTPUT}
        return lambda: _post(caller.key, f"/v1/runs/{run.id}/submit", body)

    return _rate([submission(*one) for one in many_started(house, callers, count)])


def _verdict(key: str, review_id: str, turn: int) -> Call:
    kind = ("approve", "rework", "reject")[turn % 3]
    body = {"version": 1, "verdict": kind, "reason": "As agreed.", "rating": 1 + turn % 5}
    return lambda: _post(key, f"/v1/reviews/{review_id}/verdict", body)


def _post(key: str, path: str, body: Any) -> None:
    from tests.factories import Caller

    answer = Caller(key).post(path, body)
    assert answer.status_code == 200, answer.content


def _rate(calls: Sequence[Call]) -> float:
    """Return how many of the calls are made in a second by `THREADS` threads."""
    from django.db import connections

    def run(part: Sequence[Call]) -> None:
        try:
            for call in part:
                call()
        finally:
            connections.close_all()

    parts = [calls[first::THREADS] for first in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as threads:
        began = time.perf_counter()
        list(threads.map(run, parts))
        return len(calls) / (time.perf_counter() - began)


def _check(count: int) -> None:
    """Assert that each review has one verdict, one event, and a task that followed it."""
    from apps.events.models import Event
    from apps.reviews.models import Review

    statuses = Counter(Review.objects.values_list("status", flat=True))
    decided = Event.objects.filter(type="review.decided").values_list("data__review_id", flat=True)
    events = Counter(decided)
    assert statuses.keys() == {"approved", "rework", "rejected"}, statuses
    assert len(events) == statuses.total() >= count, (len(events), statuses)
    assert set(events.values()) == {1}
    after = {"approved": "verified", "rework": "cancelled", "rejected": "failed"}
    rows = Review.objects.values_list("status", "task__status")
    assert not [row for row in rows if after[row[0]] != row[1]]


if __name__ == "__main__":
    main()
