"""How many tasks can be created in a second? The service beside two yardsticks, in one run.

- **ours**: the service's own web process, by its own command line, with everything on that it does
  at a create: the API key, the rate limit counted in Redis, validation, the look at the pool, the
  natural key, task + event + destination + delivery + both SLA timers, the wake-up to the broker.
- **usual way**: a DRF view with nested serializers and four ORM inserts (see bench/usual_way), on
  the same server with the same processes and threads.
- **bare**: the same four inserts from a psycopg client, without HTTP (see bench/bare.py).

All stand on one PostgreSQL, started for this run and durable (it syncs at each commit). Workers and
the ticker do not run: what is measured is the door, for all three. The contestants take turns, each
round in another order; one that waits for its turn costs nothing. Every answer must be a 201 and
every row be there, or the run fails.

Exit code 1 when ours makes less than `TARGET` times the creates of the usual way.
"""

import argparse
import contextlib
import json
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first
from bench.load import Load, LoadFailed, drive, post_requests  # noqa: E402
from bench.servers import PRODUCT, NotStarted, Shape, free_port, serving  # noqa: E402
from config import embedded  # noqa: E402

TARGET = 2.0
CONNECTIONS = 16
WARM_UP_SECONDS = 1.5
USUAL_WAY = "bench.usual_way.wsgi:application"
USUAL_DATABASE = "bench_usual"
BARE_PROCESSES = 2
MARK = b"#" * 12

UNLIMITED = {"BIOLAYER_RATE_LIMIT": "100000000"}
"""The limiter counts every create and refuses none."""

OUR_ROWS = {
    "tasks_task": 1,
    "events_event": 1,
    "webhooks_destination": 1,
    "webhooks_delivery": 1,
    "timers_timer": 2,
}
USUAL_ROWS = {f"usual_way_{name}": 1 for name in ("task", "event", "delivery", "timer")}


class Uncounted(Exception):
    """What was answered and what is stored do not agree."""


@dataclass
class Contestant:
    """Something that can make tasks for some seconds, and the rows that each of them leaves."""

    name: str
    run: Callable[[float], Load]
    database: str
    rows: Mapping[str, int]
    loads: list[Load] = field(default_factory=list)

    def measure(self, seconds: float) -> Load:
        """One turn. Raises `Uncounted` where rows are missing or too many."""
        before = self._count()
        load = self.run(seconds)
        after = self._count()
        for table, each in self.rows.items():
            made = after[table] - before[table]
            if made != each * load.done:
                raise Uncounted(f"{self.name}: {load.done} creates left {made} rows in {table}")
        return load

    @property
    def rates(self) -> list[float]:
        return [load.done / load.seconds for load in self.loads]

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def latency(self, percent: int) -> float:
        """A percentile over all rounds, in milliseconds."""
        latencies = [latency for load in self.loads for latency in load.latencies]
        return statistics.quantiles(latencies, n=100)[percent - 1] * 1000

    def _count(self) -> dict[str, int]:
        with psycopg.connect(self.database) as connection:
            return {
                table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # type: ignore[index]
                for table in self.rows
            }


def main() -> None:
    options = _arguments()
    shape = Shape(options.server, options.threads, options.processes)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with home_for_this_run(**UNLIMITED) as home, _contestants(home, shape) as contestants:
            _play(contestants, rounds=options.rounds, seconds=options.seconds)
            _check_limiter(home)
    except (LoadFailed, NotStarted, Uncounted) as error:
        sys.exit(f"the measurement failed: {error}")
    print(_table(contestants))
    ours, usual, _ = contestants
    if ours.rate < TARGET * usual.rate:
        sys.exit(f"too slow: ours makes less than {TARGET:g} times the creates of the usual way")


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--server", choices=["granian", "gunicorn"], help="for both HTTP sides")
    options.add_argument("--threads", type=int, help="of each process")
    options.add_argument("--processes", type=int)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=5.0, help="of each turn")
    return options.parse_args()


# --- what runs ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _contestants(home: Path, shape: Shape) -> Iterator[list[Contestant]]:
    """The three, ready to run."""
    access, usual_access = _prepared("bench.product"), _prepared("bench.usual_way.prepare")
    body: dict[str, Any] = access["body"]
    usual_body = {**body, "origin": body["origin"] | {"org_id": usual_access["org_id"]}}
    database = embedded.database_url(home)
    usual_database = database.replace("/biolayer?", f"/{USUAL_DATABASE}?", 1)
    with contextlib.ExitStack() as stack:
        ours, usual = free_port(), free_port()
        stack.enter_context(
            serving(shape.command(PRODUCT, port=ours), port=ours, log=home / "logs" / "ours.log")
        )
        stack.enter_context(
            serving(
                shape.command(USUAL_WAY, port=usual), port=usual, log=home / "logs" / "usual.log"
            )
        )
        yield [
            Contestant("ours", _over_http(ours, access["api_key"], body), database, OUR_ROWS),
            Contestant(
                "(a) usual way",
                _over_http(usual, usual_access["api_key"], usual_body),
                usual_database,
                USUAL_ROWS,
            ),
            Contestant(
                "(b) bare psycopg", _bare(usual_database, usual_body), usual_database, USUAL_ROWS
            ),
        ]


def _prepared(module: str) -> dict[str, Any]:
    """What a program that makes a contestant's database says of it."""
    said = subprocess.run(
        [sys.executable, "-m", module], cwd=PROJECT, stdout=subprocess.PIPE, check=True
    ).stdout
    access: dict[str, Any] = json.loads(said)
    return access


def _over_http(port: int, api_key: str, body: dict[str, Any]) -> Callable[[float], Load]:
    marked = body | {"origin": body["origin"] | {"request_id": MARK.decode()}}
    requests = post_requests(
        path="/v1/tasks", api_key=api_key, template=json.dumps(marked).encode(), mark=MARK
    )
    return lambda seconds: drive(
        port=port, requests=requests, connections=CONNECTIONS, seconds=seconds, expected=201
    )


def _bare(database: str, body: dict[str, Any]) -> Callable[[float], Load]:
    def run(seconds: float) -> Load:
        command = [sys.executable, "-m", "bench.bare", "--url", database]
        command += ["--connections", str(CONNECTIONS // BARE_PROCESSES)]
        command += ["--seconds", str(seconds), "--body", json.dumps(body)]
        clients = [
            subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE)
            for _ in range(BARE_PROCESSES)
        ]
        try:
            said = [json.loads(client.communicate()[0]) for client in clients]
        finally:
            for client in clients:
                client.kill()
        latencies = [latency for one in said for latency in one["latencies"]]
        return Load(max(one["seconds"] for one in said), latencies)

    return run


# --- measuring ------------------------------------------------------------------------------------


def _play(contestants: list[Contestant], *, rounds: int, seconds: float) -> None:
    """Warm up; then let each have its turn in each round, beginning with another one each time."""
    for contestant in contestants:
        contestant.measure(WARM_UP_SECONDS)
    for number in range(rounds):
        first = number % len(contestants)
        for contestant in contestants[first:] + contestants[:first]:
            contestant.loads.append(contestant.measure(seconds))


def _check_limiter(home: Path) -> None:
    """The limiter passes calls uncounted when Redis does not answer: then this was no fair run."""
    client = redis.Redis.from_url(embedded.redis_url(home))
    if not any(client.scan_iter("biolayer:rate:*")):
        raise Uncounted("the rate limiter counted nothing in Redis")


def _table(contestants: list[Contestant]) -> str:
    head = f"{'creates per second':<20}{'median':>8}{'min':>8}{'max':>8}{'p50 ms':>9}{'p99 ms':>9}"
    lines = [f"{head}{'ours is':>11}"]
    for one in contestants:
        numbers = f"{one.rate:>8.0f}{min(one.rates):>8.0f}{max(one.rates):>8.0f}"
        latencies = f"{one.latency(50):>9.1f}{one.latency(99):>9.1f}"
        ratio = f"{contestants[0].rate / one.rate:.2f} x"
        lines.append(f"{one.name:<20}{numbers}{latencies}{ratio:>11}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
