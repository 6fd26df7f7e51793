"""Measure what authentication, rate limits and idempotency cost a create.

Four variants of the service's own web process take turns in one run, against one PostgreSQL and one
Redis: as it is, called with an `Idempotency-Key`; called without one; without rate limits; without
limits and authentication (each credential is authenticated once, and the time is this machine's).
Every response must be a 201 and every row must be stored, or the run fails.

Exit code 1 when all three together cost more than `MOST` of the rate without them.
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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

MOST = 0.20
CONNECTIONS = 16
MARK = b"#" * 12
UNLIMITED = {"BIOLAYER_RATE_LIMIT": "100000000"}
ROWS = {"tasks_task": 1, "events_event": 1}

# Name, application, and whether each request has an `Idempotency-Key`.
VARIANTS = (
    ("all three", PRODUCT, True),
    ("without idempotency", PRODUCT, False),
    (".. and limits", "bench.access.unlimited:application", False),
    (".. and authentication", "bench.access.bare:application", False),
)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=5.0, help="of each turn")
    chosen = options.parse_args()
    try:
        with home_for_this_run(**UNLIMITED) as home, _contestants(home) as contestants:
            play(contestants, rounds=chosen.rounds, seconds=chosen.seconds)
    except (LoadFailed, NotStarted, RowsMismatch) as error:
        sys.exit(f"the measurement failed: {error}")
    print(table("creates per second", contestants))
    cost = _report(contestants)
    if cost > MOST:
        sys.exit(f"too slow: all three cost more than {MOST:.0%} of the rate without them")


def _report(contestants: list[Contestant]) -> float:
    """Print what all three cost, by the rate and by processor time. Return the cost of the rate."""
    whole, *_, bare = contestants
    cost = 1 - whole.rate / bare.rate
    cpu = [sum(map(one.cpu_ms, one.pids)) for one in (whole, bare)]
    print(f"all three cost {cost:.1%} of the rate")
    print(f"processor time for a create: {cpu[0]:.2f} ms instead of {cpu[1]:.2f} ms,", end=" ")
    print(f"so {1 - cpu[1] / cpu[0]:.1%} of the rate where the processor is the limit")
    return cost


@contextlib.contextmanager
def _contestants(home: Path) -> Iterator[list[Contestant]]:
    access = prepared("bench.product")
    database, postgres = embedded.database_url(home), postgres_pid(home)
    with contextlib.ExitStack() as stack:
        contestants = []
        for number, (name, application, has_key) in enumerate(VARIANTS):
            port, log = free_port(), home / "logs" / f"variant-{number}.log"
            command = Shape().command(application, port=port)
            web = stack.enter_context(serving(command, port=port, log=log))
            load = _Load(
                port, access["api_key"], access["body"], product=str(number), has_key=has_key
            )
            rows = ROWS | {"api_idempotencykey": int(has_key)}
            pids = {"web": web, "PG": postgres}
            contestants.append(Contestant(name, load, database, rows, pids=pids))
        yield contestants


class _Load:
    """Create tasks on one server; every request has a natural key of its own."""

    def __init__(
        self, port: int, api_key: str, body: dict[str, Any], *, product: str, has_key: bool
    ) -> None:
        marked = body | {"origin": body["origin"] | {"request_id": product + MARK.decode()}}
        self._port = port
        self._requests = post_requests(
            path="/v1/tasks",
            api_key=api_key,
            template=json.dumps(marked).encode(),
            mark=MARK,
            headers=f"Idempotency-Key: {MARK.decode()}\r\n" if has_key else "",
        )

    def __call__(self, seconds: float) -> Load:
        return drive(
            port=self._port,
            requests=self._requests,
            connections=CONNECTIONS,
            seconds=seconds,
            expected=201,
        )


if __name__ == "__main__":
    main()
