"""Measure whether a receiver that never responds delays others: the same load without and with one.

Events are committed at a steady rate for 500 healthy origins, which one deliveries worker serves;
each responds after 50 ms. In half of the runs there is one more origin: it reads requests and never
responds, and 20,000 deliveries are due there. Runs with and without it alternate, in another order
each round. The result is the time from commit to request at the healthy origins.

The black hole is a new one each time, so that it gets all its slots and its breaker is closed. The
receiver counts the requests that it holds, and its rows are sampled ten times a second: at no time
may more be under way than it has slots (the origin's `concurrency`), four at most.

Exit code 1 when the healthy p99 beside the black hole is over `P99_MS` or over `TIMES` times that
without it, or when the black hole got more than its slots.
"""

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first
from bench.latencies import Latencies, announced  # noqa: E402
from bench.load import LoadFailed  # noqa: E402
from bench.origins import Origins, poll_until  # noqa: E402
from bench.servers import NotStarted, running  # noqa: E402
from config.processes import QUIET_ROOT, worker_command  # noqa: E402

HEALTHY = 500
DELAY_SECONDS = 0.05
SLOTS = 4
SAMPLE_SECONDS = 0.1
WARM_UP_SECONDS = 4.0

P99_MS = 1000.0
TIMES = 1.5


@dataclass
class Samples:
    """Sample a black hole's rows: attempts under way, and slots at that time."""

    origin_id: UUID
    samples: list[tuple[int, int]] = field(default_factory=list)

    @contextlib.contextmanager
    def taking(self) -> Iterator[None]:
        is_over = threading.Event()
        thread = threading.Thread(target=self._take, args=(is_over,), name="samples")
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _take(self, is_over: threading.Event) -> None:
        from bench import due

        while not is_over.wait(SAMPLE_SECONDS):
            self.samples.append(due.under_way(self.origin_id))
        due.close()

    @property
    def most(self) -> int:
        return max(under_way for under_way, _ in self.samples)

    @property
    def over(self) -> int:
        """Return how often there were more than slots."""
        return sum(under_way > slots for under_way, slots in self.samples)


@dataclass
class Bench:
    home: Path
    organisation_id: UUID
    origins: Origins
    rate: float
    seconds: float
    backlog: int
    without: list[Latencies] = field(default_factory=list)
    beside: list[Latencies] = field(default_factory=list)
    samples: list[Samples] = field(default_factory=list)

    def run(self, rounds: int) -> None:
        self._announce(WARM_UP_SECONDS)
        for number in range(rounds):
            runs = [self._run_without, self._run_beside]
            for run in runs if number % 2 == 0 else reversed(runs):
                run()

    def _run_without(self) -> None:
        self.without.append(self._announce(self.seconds))

    def _run_beside(self) -> None:
        from bench import due

        hole = len(self.samples)
        to = due.to_endpoint(
            organisation_id=self.organisation_id,
            origin=self.origins.silent[hole],
            count=self.backlog,
        )
        due.hint()
        samples = Samples(to)
        self.samples.append(samples)
        self._wait_until_full(hole)
        with samples.taking():
            self.beside.append(self._announce(self.seconds))
        due.withdraw(to)
        self.origins.hang_up()

    def _wait_until_full(self, hole: int) -> None:
        held = poll_until(
            lambda: self.origins.received().silent[hole]["waiting"],
            lambda waiting: waiting >= SLOTS,
        )
        if held < SLOTS:
            raise LoadFailed(f"the black hole got only {held} requests")

    def _announce(self, seconds: float) -> Latencies:
        return announced(
            organisation_id=self.organisation_id,
            origins=self.origins,
            rate=self.rate,
            seconds=seconds,
            log=self.home / "logs" / "announcer.log",
        )


def main() -> None:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with _bench(options) as bench:
            bench.run(options.rounds)
            peaks = [silent["peak"] for silent in bench.origins.received().silent]
    except (LoadFailed, NotStarted) as error:
        sys.exit(f"the measurement failed: {error}")
    print(_table(bench))
    print(_slots(bench, peaks))
    missed = list(_missed(bench, peaks))
    if missed:
        sys.exit("missed: " + "; ".join(missed))


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=15.0, help="of each run")
    options.add_argument("--rate", type=float, default=150.0, help="events a second, in all")
    options.add_argument("--backlog", type=int, default=20_000, help="due at the black hole")
    return options.parse_args()


@contextlib.contextmanager
def _bench(options: argparse.Namespace) -> Iterator[Bench]:
    """Start the home, the receivers and the worker."""
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(home_for_this_run())
        logs = home / "logs"
        receivers = Origins.listening(
            answering=HEALTHY,
            silent=options.rounds,
            delay=DELAY_SECONDS,
            log=logs / "receivers.log",
        )
        origins = stack.enter_context(receivers)
        # Django's settings read the home when they are loaded.
        from bench import due

        organisation_id = due.prepare([*origins.origins, *origins.silent])
        command = worker_command(name="deliveries", queues="deliveries")
        stack.enter_context(running(command, log=logs / "deliveries.log", environment=QUIET_ROOT))
        yield Bench(home, organisation_id, origins, options.rate, options.seconds, options.backlog)


# --- results --------------------------------------------------------------------------------------


def _table(bench: Bench) -> str:
    without, beside = Latencies.together(bench.without), Latencies.together(bench.beside)
    lines = [f"{'commit to request, ms':<24}{'p50':>8}{'p99':>8}{'events':>10}"]
    for name, one in (("without a black hole", without), ("beside a black hole", beside)):
        lines.append(f"{name:<24}{one.p(50):>8.0f}{one.p(99):>8.0f}{len(one.milliseconds):>10}")
    ratios = f"{beside.p(50) / without.p(50):>7.2f}x{beside.p(99) / without.p(99):>7.2f}x"
    return "\n".join([*lines, f"{'beside / without':<24}{ratios}"])


def _slots(bench: Bench, peaks: list[int]) -> str:
    samples = sum(len(one.samples) for one in bench.samples)
    return (
        f"\nthe black hole held {max(peaks)} requests at most; by its rows {_most(bench)} were"
        f" under way at most, and in {_over(bench)} of {samples} samples more than its slots"
    )


def _most(bench: Bench) -> int:
    return max(one.most for one in bench.samples)


def _over(bench: Bench) -> int:
    return sum(one.over for one in bench.samples)


def _missed(bench: Bench, peaks: list[int]) -> Iterator[str]:
    without, beside = Latencies.together(bench.without), Latencies.together(bench.beside)
    if beside.p(99) > P99_MS:
        yield f"the healthy p99 is over {P99_MS:g} ms"
    if beside.p(99) > TIMES * without.p(99):
        yield f"the healthy p99 is over {TIMES:g} times that without a black hole"
    if max(*peaks, _most(bench)) > SLOTS or _over(bench):
        yield "the black hole got more than its slots"


if __name__ == "__main__":
    main()
