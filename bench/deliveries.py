"""How many webhooks does one worker process deliver in a second? Beside three yardsticks, in one run.

- **ours**: the deliveries worker by its own command line, with everything on: claims, leases, caps
  and health of each origin, order, two signatures (v1 and v1a), the address guard, an attempt's row
  for each, results written back. Its time is from the hint to the last row.
- **bare aiohttp**: the same bodies with the same signatures, made beforehand, from one process with
  128, 256 and 512 requests in flight; the best of them counts (see bench/bare_deliveries.py).
- **Celery, 2 processes** and **Celery, 32 threads**: a task for each delivery with `requests` (see
  bench/usual_deliveries.py). Their time is from the first request to the last.

All post to the same receivers: 32 loopback ports in one process, each of which answers after 50 ms.
The origins' concurrency is what a warm-up made of it. The contestants take turns, each round in
another order; one that waits for its turn costs nothing. Then events are committed at half of the
measured rate, and the time from commit to request is taken.

CPU µs is the processor time that the sending process takes for each delivery, all its threads
together: on a machine that is busy otherwise it says more than the rates do.

Exit code 1 when a target is missed; the run fails when a delivery has not exactly its rows.
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
class Turn:
    """Deliveries a second, and the processor time that the sending process took for each."""

    rate: float
    cpu_us: float | None = None


@dataclass
class Contestant:
    """Something that can deliver `count` webhooks."""

    name: str
    run: Callable[[int], Turn]
    count: int
    # Ours must be so many times as fast; None: it is no yardstick by itself.
    target: float | None = None
    turns: list[Turn] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        return [turn.rate for turn in self.turns]

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def cpu(self) -> str:
        known = [turn.cpu_us for turn in self.turns if turn.cpu_us is not None]
        return f"{statistics.median(known):.0f}" if known else ""


@dataclass(frozen=True, slots=True)
class Scene:
    """The home with an organisation in it, the receivers, and the file of what others post."""

    home: Path
    organisation_id: UUID
    origins: Origins

    @property
    def posts(self) -> Path:
        return self.home / "posts.json"

    @property
    def usual_environment(self) -> Mapping[str, str]:
        # Without Django: it would only cost this contestant time.
        return {"BENCH_BROKER": embedded.broker_url(self.home), "DJANGO_SETTINGS_MODULE": ""}


def main() -> None:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with _scene() as scene:
            with _worker(scene) as worker:
                contestants = _contestants(scene, worker, options)
                _play(contestants, rounds=options.rounds)
            each = worker.statements / (WARM_UP + options.rounds * options.deliveries)
            latencies = _at_half_load(scene, contestants[0].rate / 2, seconds=options.seconds)
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
        "--deliveries", type=int, default=8_000, help="of ours and bare, each turn"
    )
    options.add_argument("--seconds", type=float, default=12.0, help="at half load")
    return options.parse_args()


# --- what runs ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(home_for_this_run())
        origins = stack.enter_context(
            Origins.listening(
                answering=RECEIVERS, delay=DELAY_SECONDS, log=home / "logs" / "receivers.log"
            )
        )
        # Django's settings look for the home when they are loaded.
        from bench import due

        yield Scene(home, due.prepare(origins.origins), origins)


@dataclass(frozen=True, slots=True)
class Worker:
    """The deliveries worker."""

    process: psutil.Process
    counted: Path

    @property
    def statements(self) -> int:
        """How many it sent in its life, which is over."""
        return int(self.counted.read_text())

    @property
    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def _worker(scene: Scene) -> Iterator[Worker]:
    """A worker that is warmed up."""
    counted = scene.home / "statements"
    command = list(worker_command(name="deliveries", queues="deliveries"))
    command[command.index("config.celery")] = "bench.counted_worker"
    with running(
        command,
        log=scene.home / "logs" / "deliveries.log",
        environment={**QUIET_ROOT, "BENCH_STATEMENTS": str(counted)},
    ) as process:
        worker = Worker(psutil.Process(process.pid), counted)
        _ours(scene, worker, WARM_UP)
        yield worker


def _contestants(scene: Scene, worker: Worker, options: argparse.Namespace) -> list[Contestant]:
    """Ours first."""
    every = options.deliveries
    celery, threads = (functools.partial(_usual, scene, pool) for pool in (PROCESSES, THREADS))
    return [
        Contestant("ours", functools.partial(_ours, scene, worker), every),
        *(
            Contestant(f"bare aiohttp, {many}", functools.partial(_bare, scene, many), every)
            for many in IN_FLIGHT
        ),
        Contestant("Celery, 2 processes", celery, 150, TIMES_PROCESSES),
        Contestant("Celery, 32 threads", threads, 1_500, TIMES_THREADS),
    ]


def _ours(scene: Scene, worker: Worker, count: int) -> Turn:
    from bench import due

    scene.origins.forget()
    written = due.to_callbacks(
        organisation_id=scene.organisation_id, origins=scene.origins.origins, count=count
    )
    posts = {"keys": due.keys(scene.organisation_id), "posts": [one.shown() for one in written]}
    scene.posts.write_text(json.dumps(posts))
    before = worker.cpu_seconds
    seconds = due.drain()
    spent = worker.cpu_seconds - before
    _check_arrivals(scene.origins, count, are_signed_twice=True)
    return Turn(count / seconds, spent / count * 1e6)


def _bare(scene: Scene, in_flight: int, count: int) -> Turn:
    scene.origins.forget()
    command = [sys.executable, "-m", "bench.bare_deliveries", "--posts", str(scene.posts)]
    command += ["--count", str(count), "--in-flight", str(in_flight)]
    said = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout
    _check_arrivals(scene.origins, count, are_signed_twice=True)
    took = json.loads(said)
    return Turn(count / took["seconds"], took["cpu_seconds"] / count * 1e6)


def _usual(scene: Scene, pool: Sequence[str], count: int) -> Turn:
    """The queue is filled first, and the worker started then: its start does not count."""
    scene.origins.forget()
    enqueue = [sys.executable, "-m", "bench.usual_deliveries", "--posts", str(scene.posts)]
    enqueue += ["--count", str(count)]
    subprocess.run(enqueue, cwd=PROJECT, env={**os.environ, **scene.usual_environment}, check=True)
    worker = [sys.executable, "-m", "celery", "--quiet", "-A", "bench.usual_deliveries", "worker"]
    worker += [*pool, "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
    log = scene.home / "logs" / "usual.log"
    with running(worker, log=log, environment={**QUIET_ROOT, **scene.usual_environment}):
        scene.origins.wait_for(count)
    _check_arrivals(scene.origins, count, are_signed_twice=False)
    return Turn(scene.origins.seen().rate)


def _at_half_load(scene: Scene, rate: float, *, seconds: float) -> Latencies:
    with _worker(scene):
        return announced(
            organisation_id=scene.organisation_id,
            origins=scene.origins,
            rate=rate,
            seconds=seconds,
            log=scene.home / "logs" / "announcer.log",
        )


# --- measuring ------------------------------------------------------------------------------------


def _play(contestants: list[Contestant], *, rounds: int) -> None:
    """Each has its turn in each round, beginning with another one each time.

    Ours is first in the first: it makes what the others post.
    """
    for number in range(rounds):
        first = number % len(contestants)
        for contestant in contestants[first:] + contestants[:first]:
            contestant.turns.append(contestant.run(contestant.count))


def _check_arrivals(origins: Origins, count: int, *, are_signed_twice: bool) -> None:
    """Each came once, and with the signatures that it must have."""
    seen = origins.seen()
    signed_twice = count if are_signed_twice else 0
    if (len(seen.arrivals), seen.again, seen.signed_twice) != (count, 0, signed_twice):
        raise LoadFailed(
            f"of {count} deliveries {len(seen.arrivals)} came, {seen.again} of them again,"
            f" {seen.signed_twice} with both signatures"
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
        f"{'deliveries per second':<24}{'median':>8}{'min':>8}{'max':>8}{'CPU µs':>8}{'ours is':>11}"
    ]
    for one in contestants:
        numbers = f"{one.rate:>8.0f}{min(one.rates):>8.0f}{max(one.rates):>8.0f}"
        ratio = f"{contestants[0].rate / one.rate:.2f} x"
        lines.append(f"{one.name:<24}{numbers}{one.cpu:>8}{ratio:>11}")
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
