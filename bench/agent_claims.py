"""Measure how many runs sessions claim in a second, beside offers that workers accept.

Both give a queued task to a worker: a claim by one call, an offer by the matcher and the worker's
call. Calls are made by threads of one process, with everything that a request does but the socket.
They alternate in one run, in blocks. `--queued` tasks of other requirements wait in the same pool
meanwhile: a claim must not become slower by them.

In the end no run was claimed twice. Target: a claim with a long queue takes no longer than 1.3
times that with a short one. Exit code 1 otherwise.
"""

import argparse
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first

TARGET = 1.3
THREADS = 8
SKILLS = 20


def main() -> None:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with home_for_this_run():
        _prepare()
        rates = _measure(options)
        _check()
    for name, values in rates.items():
        print(f"{name:40} {statistics.median(values):6.0f} a second, of {[*map(round, values)]}")
    ratio = statistics.median(rates["claims"]) / statistics.median(rates[LONG])
    print(f"time of a claim with the long queue: {ratio:.2f} (target ≤ {TARGET})")
    if ratio > TARGET:
        sys.exit("missed: the target")


LONG = "claims with a long queue"


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--block", type=int, default=200)
    options.add_argument("--queued", type=int, default=100_000)
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


def _measure(options: argparse.Namespace) -> dict[str, list[float]]:
    from tests.agent_steps import agent_of
    from tests.factories import House
    from tests.review_steps import workforce

    house = House.build()
    callers = workforce(house)
    agents = [agent_of(house, f"s-{number}", name=f"a-{number}") for number in range(THREADS)]
    rates: dict[str, list[float]] = {"offers and accepts": [], "claims": [], LONG: []}
    for number in range(options.rounds + 1):
        offered = _offers(house, callers, options.block)
        claimed = _claims(house, agents, options.block)
        if number:  # The first round warms up.
            rates["offers and accepts"].append(offered)
            rates["claims"].append(claimed)
    _fill(house, options.queued)
    for number in range(options.rounds + 1):
        claimed = _claims(house, agents, options.block)
        if number:
            rates[LONG].append(claimed)
    return rates


Call = Callable[[], None]


def _claims(house: Any, agents: Sequence[Any], count: int) -> float:
    """Return how many runs are claimed in a second; each is completed, which is not timed."""
    from tests.agent_steps import queue_many
    from tests.factories import OUTPUT

    queue_many(house, count)
    seconds = 0.0
    for _ in range(count // len(agents)):
        began = time.perf_counter()
        claims = _together([agent.claimed for agent in agents])
        seconds += time.perf_counter() - began
        for agent, claim in zip(agents, claims, strict=True):
            answer = agent.on(claim["run"]["id"], "complete", result=OUTPUT)
            assert answer.status_code == 200, answer.content
    return count / seconds


def _offers(house: Any, callers: Sequence[Any], count: int) -> float:
    """Return how many tasks are matched and accepted in a second, and complete them."""
    from apps.base import clock
    from apps.matching.models import Offer
    from apps.matching.services import match_queued
    from apps.tasks.models import Run
    from apps.tasks.services import start_run, submit_run
    from tests.agent_steps import queue_many
    from tests.factories import OUTPUT, Caller, tasks_submission

    queue_many(house, count)
    began = time.perf_counter()
    offered = 0
    while offered < count:
        offered += match_queued()
    seconds = time.perf_counter() - began
    by_worker = {caller.principal.worker_id: caller for caller in callers}
    offers = list(Offer.objects.filter(status="open").values_list("id", "worker_id"))
    for first in range(0, len(offers), THREADS):
        part = offers[first : first + THREADS]
        began = time.perf_counter()
        _together([_accept(by_worker[worker].key, offer) for offer, worker in part])
        seconds += time.perf_counter() - began
    for run in Run.objects.filter(status="claimed"):
        actor, at = Caller(by_worker[run.worker_id].key).principal, clock.now()
        start_run(actor=actor, run_id=run.id, epoch=run.epoch, at=at)
        submission = tasks_submission(run.epoch, OUTPUT)
        submit_run(actor=actor, run_id=run.id, submission=submission, at=at)
    return count / seconds


def _accept(key: str, offer_id: Any) -> Call:
    from tests.factories import Caller

    def accept() -> None:
        answer = Caller(key).post(f"/v1/offers/{offer_id}/accept")
        assert answer.status_code == 200, answer.content

    return accept


_threads = ThreadPoolExecutor(THREADS)


def _together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    return [future.result() for future in [_threads.submit(call) for call in calls]]


def _fill(house: Any, count: int) -> None:
    """Queue tasks that no session may claim, of several requirements."""
    from django.db import connection

    from tests.agent_steps import queue_many

    for number in range(SKILLS):
        queue_many(house, count // SKILLS, skills=[f"skill-{number}"])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tasks_task, tasks_run, tasks_requirement")


def _check() -> None:
    """Assert that no run was claimed twice, and none is left held."""
    from apps.agents.models import AgentClaim

    claims = AgentClaim.objects.all()
    assert claims.count() == claims.values("run_id").distinct().count()
    assert not claims.exclude(end="completed").exists()


if __name__ == "__main__":
    main()
