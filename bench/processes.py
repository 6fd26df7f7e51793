"""Measure what more lifecycle processes bring, and how late timers fire beside a backlog.

1. **Offers**: 1, 2, 4 and 6 lifecycle processes offer the same number of queued tasks, of one
   organisation and of eight, with all rows. The processes are started beforehand, and stopped
   (SIGSTOP) while the tasks are queued; the time counts from when they continue to the last offer.
   The numbers of processes alternate; medians of the rounds.
2. **Timers**: 10,000 tasks wait to be offered; meanwhile SLA clocks of another organisation run out
   one after another. How late the event of each is.

Exit with 1 when a target is missed: eight organisations' offers a second never fall from one number
of processes to the next (by more than `NOISE`), one organisation's are never below 0.9 of those of
one process, and the timers' p99 is 2 s at most.
"""

import argparse
import contextlib
import itertools
import random
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first
from bench.load import LoadFailed  # noqa: E402
from bench.servers import running  # noqa: E402
from config.processes import QUIET_ROOT, service_commands, ticker_command  # noqa: E402

COUNTS = (1, 2, 4, 6)
ORGANISATIONS = 8
WORKERS = 2_000
UNITS = 6
NOISE = 0.95
"""Two medians that are closer than that count as equal on a shared machine."""
LEAST_OF_ONE = 0.9
BACKLOG = 10_000
CLOCKS = 1_000
CLOCK_SECONDS = 10.0
P99_SECONDS = 2.0
BOOT_SECONDS = 6.0


def main() -> None:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with home_for_this_run() as home:
            one = _medians(home, options, organisations=1)
            if options.only_one:
                sys.exit(" ".join(f"{count}: {rate:.0f}" for count, rate in one.items()))
            several = _medians(home, options, organisations=ORGANISATIONS)
            p50, p99 = _clocks(home)
    except LoadFailed as error:
        sys.exit(f"the measurement failed: {error}")
    print(
        f"{'offers a second by':<24}" + "".join(f"{count:>8}" for count in COUNTS) + "  processes"
    )
    for name, rates in ("one organisation", one), (f"{ORGANISATIONS} organisations", several):
        print(f"{name:<24}" + "".join(f"{rates[count]:>8.0f}" for count in COUNTS))
    print(
        f"\nSLA clocks beside {BACKLOG} tasks to be offered: p50 {p50:.2f} s late, p99 {p99:.2f} s"
    )
    missed = list(_missed(one, several, p99))
    if missed:
        sys.exit("missed: " + "; ".join(missed))


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only-one", action="store_true", help="only one organisation's offers")
    options.add_argument("--tasks", type=int, default=4_000, help="in each round")
    return options.parse_args()


def _missed(one: dict[int, float], several: dict[int, float], p99: float) -> Iterator[str]:
    for fewer, more in itertools.pairwise(COUNTS):
        if several[more] < NOISE * several[fewer]:
            yield f"{more} processes make fewer offers for several organisations than {fewer}"
    for count in COUNTS[1:]:
        if one[count] < LEAST_OF_ONE * one[1]:
            yield f"{count} processes make less than {LEAST_OF_ONE:g} of one's for one organisation"
    if p99 > P99_SECONDS:
        yield f"the timers' p99 is over {P99_SECONDS:g} s"


# --- offers ---------------------------------------------------------------------------------------


def _medians(home: Path, options: argparse.Namespace, *, organisations: int) -> dict[int, float]:
    """Return the offers a second by the number of processes."""
    from bench import crowd

    callers = [crowd.prepare() for _ in range(organisations)]
    for _, pool, _ in callers:
        crowd.enrol(pool, count=WORKERS // organisations, capacity=UNITS)
    rates: dict[int, list[float]] = {count: [] for count in COUNTS}
    for number in range(options.rounds):
        for count in COUNTS:
            rate = _rate(home, callers, options.tasks, count, random.Random(number))
            rates[count].append(rate)
    crowd.reset()
    return {count: statistics.median(values) for count, values in rates.items()}


def _rate(
    home: Path, callers: Sequence[Any], tasks: int, count: int, chance: random.Random
) -> float:
    from apps.base.wake import send
    from apps.matching.models import Offer
    from bench import crowd

    crowd.reset()
    with _processes(home, count) as processes:
        _warm_up(callers[0])
        _signal(processes, signal.SIGSTOP)
        for _, pool, actor in callers:
            crowd.queue_up(actor, pool, crowd.skills_of_tasks(chance), count=tasks // len(callers))
        before = Offer.objects.count()
        _signal(processes, signal.SIGCONT)
        for _ in range(count):
            send("matching")
        return _offered(before, tasks)


def _offered(before: int, tasks: int) -> float:
    """Return the offers a second until nearly all are made: the last few may wait for a worker."""
    from apps.matching.models import Offer

    began = time.monotonic()
    expected = before + int(0.95 * tasks)
    while (made := Offer.objects.count()) < expected:
        if time.monotonic() - began > 120:
            raise LoadFailed(f"only {made - before} of {tasks} tasks were offered")
        time.sleep(0.02)
    return (made - before) / (time.monotonic() - began)


def _warm_up(caller: Any) -> None:
    """Have each process import what matching needs."""
    from apps.base.wake import send
    from bench import crowd

    _, pool, actor = caller
    time.sleep(BOOT_SECONDS)
    for _ in range(10):
        crowd.post(actor, pool, crowd.skills_of_tasks(random.Random(0)), count=8)
        for _ in range(8):
            send("intake")
            send("matching")
        time.sleep(0.2)


@contextlib.contextmanager
def _processes(home: Path, count: int) -> Iterator[list[Any]]:
    command = service_commands(host="127.0.0.1", port=1, stream_port=2)["lifecycle"]
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                running(
                    [part.replace("lifecycle@", f"lifecycle-{number}@") for part in command],
                    log=home / "logs" / f"lifecycle-{number}.log",
                    environment=QUIET_ROOT,
                )
            )
            for number in range(count)
        ]


def _signal(processes: Sequence[Any], number: signal.Signals) -> None:
    for process in processes:
        process.send_signal(number)


# --- timers ---------------------------------------------------------------------------------------


def _clocks(home: Path) -> tuple[float, float]:
    """Return how late the events of SLA clocks are (p50, p99, in seconds) beside a backlog."""
    from apps.base import clock
    from bench import crowd, timers

    _, pool, actor = crowd.prepare()
    crowd.enrol(pool, count=WORKERS, capacity=UNITS)
    crowd.queue_up(actor, pool, crowd.skills_of_tasks(random.Random(3)), count=BACKLOG)
    with _processes(home, 1), running(ticker_command(), log=home / "logs" / "ticker.log"):
        time.sleep(BOOT_SECONDS / 2)
        first = clock.now() + timedelta(seconds=3)
        each = timedelta(seconds=CLOCK_SECONDS / CLOCKS)
        organisation_id = timers._written(CLOCKS, lambda number: first + number * each)
        ends = time.monotonic() + 60
        while timers._told(organisation_id, timers.BREACHED).tasks < CLOCKS:
            if time.monotonic() > ends:
                raise LoadFailed("not all clocks have an event")
            time.sleep(0.2)
        return timers._told(organisation_id, timers.BREACHED).effect


if __name__ == "__main__":
    main()
