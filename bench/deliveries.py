"""Measure how many webhooks one worker process delivers in a second, beside three other ways.

- **ours**: the deliveries worker by its own command line, with all its features: claims, leases,
  limits and health of each origin, order, two signatures (v1 and v1a), the address check, an
  attempt's row for each, results written back. Its time is from the wake-up to the last row.
- **bare aiohttp**: the same bodies with the same signatures, made beforehand, from one process with
  128, 256 and 512 requests in flight; the best of them counts (see bench/bare_deliveries.py).
- **Celery, 2 processes** and **Celery, 32 threads**: a task for each delivery with `requests` (see
  bench/usual_deliveries.py). Their time is from the first request to the last.

All post to the same receivers: 32 loopback ports in one process that respond after 50 ms. A warm-up
has raised the origins' concurrency. The contestants run one after another, each round in another
order; a waiting one costs nothing. Then events are committed at half of the measured rate, and the
time from commit to request is measured.

CPU µs is the CPU time of the sending process for each delivery, all its threads together: on a
machine that is busy otherwise it says more than the rates do.

Exit code 1 when a target is missed; the run fails when a delivery does not have exactly its rows.
"""

import argparse
import contextlib
import functools
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psutil

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first
from bench.latencies import Latencies, announced  # noqa: E402
from bench.load import LoadFailed  # noqa: E402
from bench.origins import Origins  # noqa: E402
from bench.servers import NotStarted, running  # noqa: E402
from config import embedded  # noqa: E402
from config.processes import QUIET_ROOT, worker_command  # noqa: E402

RECEIVERS = 32
DELAY_SECONDS = 0.05
IN_FLIGHT = (128, 256, 512)
WARM_UP = 4_000

BARE_SHARE = 0.5
TIMES_PROCESSES = 30.0
TIMES_THREADS = 4.0
STATEMENTS = 0.2
P50_MS = 150.0
P99_MS = 1000.0

PROCESSES = ("--pool", "prefork", "--concurrency", "2")
THREADS = ("--pool", "threads", "--concurrency", "32")


@dataclass(frozen=True, slots=True)
class Measurement:
    """Hold deliveries a second, and the CPU time of the sending process for each."""

    rate: float
    cpu_us: float | None = None


@dataclass
class Contestant:
    """Describe a way to deliver `count` webhooks."""

    name: str
    run: Callable[[int], Measurement]
    count: int
    # How many times as fast ours must be; None: not compared by itself.
    target: float | None = None
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        return [measured.rate for measured in self.measurements]

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def cpu(self) -> str:
        values = [one.cpu_us for one in self.measurements if one.cpu_us is not None]
        return f"{statistics.median(values):.0f}" if values else ""


@dataclass(frozen=True, slots=True)
class Setup:
    """Hold the home with its organisation, the receivers, and the file that others post."""

    home: Path
    organisation_id: UUID
    origins: Origins

    @property
    def posts(self) -> Path:
        return self.home / "posts.json"

    @property
    def usual_environment(self) -> Mapping[str, str]:
        # Without Django, which would only slow this contestant down.
        return {"BENCH_BROKER": embedded.broker_url(self.home), "DJANGO_SETTINGS_MODULE": ""}


def main() -> None:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with _setup() as setup:
            with _worker(setup) as worker:
                contestants = _contestants(setup, worker, options)
                _run_rounds(contestants, rounds=options.rounds)
            each = worker.statements / (WARM_UP + options.rounds * options.deliveries)
            latencies = _at_half_load(setup, contestants[0].rate / 2, seconds=options.seconds)
            _check_rows()
    except (LoadFailed, NotStarted) as error:
        sys.exit(f"the measurement failed: {error}")
    print(_table(contestants))
    print(f"\nSQL statements for each delivery, BEGIN and COMMIT counted: {each:.3f}")
    print(f"commit to request at half load ({contestants[0].rate / 2:.0f}/s): {latencies}")
    missed = [*_missed(contestants), *_missed_limits(each, latencies)]
    if missed:
        sys.exit("missed: " + "; ".join(missed))


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument(
        "--deliveries", type=int, default=8_000, help="of ours and bare, in each round"
    )
    options.add_argument("--seconds", type=float, default=12.0, help="at half load")
    return options.parse_args()


# --- what runs ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _setup() -> Iterator[Setup]:
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(home_for_this_run())
        origins = stack.enter_context(
            Origins.listening(
                answering=RECEIVERS, delay=DELAY_SECONDS, log=home / "logs" / "receivers.log"
            )
        )
        # Django's settings read the home when they are loaded.
        from bench import due

        yield Setup(home, due.prepare(origins.origins), origins)


@dataclass(frozen=True, slots=True)
class Worker:
    """Observe the deliveries worker."""

    process: psutil.Process
    count_file: Path

    @property
    def statements(self) -> int:
        """Return how many it sent; only after its end."""
        return int(self.count_file.read_text())

    @property
    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def _worker(setup: Setup) -> Iterator[Worker]:
    """Run a worker that is warmed up."""
    count_file = setup.home / "statements"
    command = list(worker_command(name="deliveries", queues="deliveries"))
    command[command.index("config.celery")] = "bench.counted_worker"
    with running(
        command,
        log=setup.home / "logs" / "deliveries.log",
        environment={**QUIET_ROOT, "BENCH_STATEMENTS": str(count_file)},
    ) as process:
        worker = Worker(psutil.Process(process.pid), count_file)
        _ours(setup, worker, WARM_UP)
        yield worker


def _contestants(setup: Setup, worker: Worker, options: argparse.Namespace) -> list[Contestant]:
    """Return all contestants, ours first."""
    every = options.deliveries
    celery, threads = (functools.partial(_usual, setup, pool) for pool in (PROCESSES, THREADS))
    return [
        Contestant("ours", functools.partial(_ours, setup, worker), every),
        *(
            Contestant(f"bare aiohttp, {many}", functools.partial(_bare, setup, many), every)
            for many in IN_FLIGHT
        ),
        Contestant("Celery, 2 processes", celery, 150, TIMES_PROCESSES),
        Contestant("Celery, 32 threads", threads, 1_500, TIMES_THREADS),
    ]


def _ours(setup: Setup, worker: Worker, count: int) -> Measurement:
    from bench import due

    setup.origins.reset()
    written = due.to_callbacks(
        organisation_id=setup.organisation_id, origins=setup.origins.origins, count=count
    )
    posts = {
        "keys": due.keys(setup.organisation_id),
        "posts": [due_delivery.document() for due_delivery in written],
    }
    setup.posts.write_text(json.dumps(posts))
    before = worker.cpu_seconds
    seconds = due.drain()
    spent = worker.cpu_seconds - before
    _check_arrivals(setup.origins, count, are_signed_twice=True)
    return Measurement(count / seconds, spent / count * 1e6)


def _bare(setup: Setup, in_flight: int, count: int) -> Measurement:
    setup.origins.reset()
    command = [sys.executable, "-m", "bench.bare_deliveries", "--posts", str(setup.posts)]
    command += ["--count", str(count), "--in-flight", str(in_flight)]
    output = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout
    _check_arrivals(setup.origins, count, are_signed_twice=True)
    took = json.loads(output)
    return Measurement(count / took["seconds"], took["cpu_seconds"] / count * 1e6)


def _usual(setup: Setup, pool: Sequence[str], count: int) -> Measurement:
    """Fill the queue first and then start the worker: its start does not count."""
    setup.origins.reset()
    enqueue = [sys.executable, "-m", "bench.usual_deliveries", "--posts", str(setup.posts)]
    enqueue += ["--count", str(count)]
    subprocess.run(enqueue, cwd=PROJECT, env={**os.environ, **setup.usual_environment}, check=True)
    worker = [sys.executable, "-m", "celery", "--quiet", "-A", "bench.usual_deliveries", "worker"]
    worker += [*pool, "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
    log = setup.home / "logs" / "usual.log"
    with running(worker, log=log, environment={**QUIET_ROOT, **setup.usual_environment}):
        setup.origins.wait_for(count)
    _check_arrivals(setup.origins, count, are_signed_twice=False)
    return Measurement(setup.origins.received().rate)


def _at_half_load(setup: Setup, rate: float, *, seconds: float) -> Latencies:
    with _worker(setup):
        return announced(
            organisation_id=setup.organisation_id,
            origins=setup.origins,
            rate=rate,
            seconds=seconds,
            log=setup.home / "logs" / "announcer.log",
        )


# --- measuring ------------------------------------------------------------------------------------


def _run_rounds(contestants: list[Contestant], *, rounds: int) -> None:
    """Run each contestant once in each round, beginning with another one each time.

    Ours is first in the first round: it writes what the others post.
    """
    for number in range(rounds):
        first = number % len(contestants)
        for contestant in contestants[first:] + contestants[:first]:
            contestant.measurements.append(contestant.run(contestant.count))


def _check_arrivals(origins: Origins, count: int, *, are_signed_twice: bool) -> None:
    """Check that each arrived once, with the signatures that it must have."""
    received = origins.received()
    signed_twice = count if are_signed_twice else 0
    if (len(received.arrivals), received.duplicates, received.signed_twice) != (
        count,
        0,
        signed_twice,
    ):
        raise LoadFailed(
            f"of {count} deliveries {len(received.arrivals)} arrived, {received.duplicates} of them"
            f" more than once, {received.signed_twice} with both signatures"
        )


def _check_rows() -> None:
    from bench import due

    counts = due.outcomes()
    if len(set(counts.values())) != 1:
        raise LoadFailed(f"not every delivery succeeded with one attempt: {counts}")


def _best_bare(contestants: Sequence[Contestant]) -> Contestant:
    return max(
        (one for one in contestants if one.name.startswith("bare")), key=lambda one: one.rate
    )


def _table(contestants: list[Contestant]) -> str:
    lines = [
        f"{'deliveries a second':<24}{'median':>8}{'min':>8}{'max':>8}{'CPU µs':>8}{'ours':>9}"
    ]
    for one in contestants:
        numbers = f"{one.rate:>8.0f}{min(one.rates):>8.0f}{max(one.rates):>8.0f}"
        ratio = f"{contestants[0].rate / one.rate:.2f} x"
        lines.append(f"{one.name:<24}{numbers}{one.cpu:>8}{ratio:>9}")
    return "\n".join(lines)


def _missed(contestants: list[Contestant]) -> Iterator[str]:
    ours = contestants[0]
    best = _best_bare(contestants)
    for one in contestants:
        target = BARE_SHARE if one is best else one.target
        if target is not None and ours.rate < target * one.rate:
            yield f"ours makes less than {target:g} times the deliveries of {one.name}"


def _missed_limits(statements: float, latencies: Latencies) -> Iterator[str]:
    if statements > STATEMENTS:
        yield f"more than {STATEMENTS:g} SQL statements for each delivery"
    if latencies.p(50) > P50_MS or latencies.p(99) > P99_MS:
        yield f"commit to request takes more than {P50_MS:g} ms (p50) or {P99_MS:g} ms (p99)"


if __name__ == "__main__":
    main()
