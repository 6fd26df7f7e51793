"""Compare creates per second of the service with two yardsticks, in one run.

- **ours**: the service's own web process, by its own command line, with everything on that a create
  does: the API key, the rate limit counted in Redis, validation, the check of the pool, the natural
  key, task + event + destination + delivery + both SLA timers, the wake-up of the broker.
- **usual way**: a DRF view with nested serializers and four ORM inserts (see bench/usual_way), on
  the same server with the same number of processes and threads.
- **bare**: the same four inserts from a psycopg client, without HTTP (see bench/bare.py).

All use one PostgreSQL, started for this run and durable (it syncs at each commit). Workers and the
ticker do not run. The contestants take turns, each round in another order. Every response must be a
201 and every row must be stored, or the run fails. CPU is the processor time of the web processes
and of PostgreSQL for each create.

Exit code 1 when ours makes less than `TARGET` times the creates of the usual way.
"""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.contest import Contestant, RowsMismatch, play, table  # noqa: E402 - after the path
from bench.home import home_for_this_run  # noqa: E402
from bench.load import Load, LoadFailed, drive, post_requests  # noqa: E402
from bench.servers import (  # noqa: E402
    PRODUCT,
    NotStarted,
    Shape,
    free_port,
    postgres_pid,
    prepared,
    serving,
)
from config import embedded  # noqa: E402

TARGET = 3.0
CONNECTIONS = 16
USUAL_WAY = "bench.usual_way.wsgi:application"
USUAL_DATABASE = "bench_usual"
BARE_PROCESSES = 2
MARK = b"#" * 12

# The limiter counts every create and refuses none.
UNLIMITED = {"BIOLAYER_RATE_LIMIT": "100000000"}

OUR_ROWS = {
    "tasks_task": 1,
    "events_event": 1,
    "webhooks_destination": 1,
    "webhooks_delivery": 1,
    "timers_timer": 2,
}
USUAL_ROWS = {f"usual_way_{name}": 1 for name in ("task", "event", "delivery", "timer")}


def main() -> None:
    options = _arguments()
    shape = Shape(options.server, options.threads, options.processes)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with home_for_this_run(**UNLIMITED) as home, _contestants(home, shape) as contestants:
            play(contestants, rounds=options.rounds, seconds=options.seconds)
            _check_limiter(home)
    except (LoadFailed, NotStarted, RowsMismatch) as error:
        sys.exit(f"the measurement failed: {error}")
    print(table("creates per second", contestants))
    ours, usual, _ = contestants
    if ours.rate < TARGET * usual.rate:
        sys.exit(f"too slow: ours makes less than {TARGET:g} times the creates of the usual way")


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--server", choices=["granian", "gunicorn"], help="of both HTTP servers")
    options.add_argument("--threads", type=int, help="of each process")
    options.add_argument("--processes", type=int)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=5.0, help="of each turn")
    return options.parse_args()


# --- what runs ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _contestants(home: Path, shape: Shape) -> Iterator[list[Contestant]]:
    """Yield the three, ready to run."""
    access, usual_access = prepared("bench.product"), prepared("bench.usual_way.prepare")
    body: dict[str, Any] = access["body"]
    usual_body = {**body, "origin": body["origin"] | {"org_id": usual_access["org_id"]}}
    database = embedded.database_url(home)
    usual_database = database.replace("/biolayer?", f"/{USUAL_DATABASE}?", 1)
    postgres = postgres_pid(home)
    with contextlib.ExitStack() as stack:
        port, usual_port = free_port(), free_port()
        log, usual_log = home / "logs" / "ours.log", home / "logs" / "usual.log"
        ours = stack.enter_context(serving(shape.command(PRODUCT, port=port), port=port, log=log))
        usual = stack.enter_context(
            serving(shape.command(USUAL_WAY, port=usual_port), port=usual_port, log=usual_log)
        )
        yield [
            Contestant(
                "ours",
                _over_http(port, access["api_key"], body),
                database,
                OUR_ROWS,
                pids={"web": ours, "PG": postgres},
            ),
            Contestant(
                "(a) usual way",
                _over_http(usual_port, usual_access["api_key"], usual_body),
                usual_database,
                USUAL_ROWS,
                pids={"web": usual, "PG": postgres},
            ),
            Contestant(
                "(b) bare psycopg", _bare(usual_database, usual_body), usual_database, USUAL_ROWS
            ),
        ]


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
            outputs = [json.loads(client.communicate()[0]) for client in clients]
        finally:
            for client in clients:
                client.kill()
        latencies = [latency for output in outputs for latency in output["latencies"]]
        return Load(max(output["seconds"] for output in outputs), latencies)

    return run


def _check_limiter(home: Path) -> None:
    """Raise `RowsMismatch` where the limiter counted nothing: it does so while Redis is away."""
    client = redis.Redis.from_url(embedded.redis_url(home))
    if not any(client.scan_iter("biolayer:rate:*")):
        raise RowsMismatch("the rate limiter counted nothing in Redis")


if __name__ == "__main__":
    main()
