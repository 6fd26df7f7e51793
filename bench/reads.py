"""Compare reads per second of the service with the usual way, in one run.

- `GET /v1/tasks/{id}` and `GET /v1/tasks` (25 tasks, newest first) by the service's own web
  process.
- The same by DRF's generic views and a ModelSerializer (see bench/usual_way), on the same server
  with the same number of processes and threads.

Both read tasks that their own API created. The contestants take turns, each round in another order.
Every response must be a 200. CPU is the processor time of the web processes and of PostgreSQL for
each read.

Exit code 1 when ours makes less than `TARGET` times the reads of the usual way, of either kind.
"""

import argparse
import contextlib
import itertools
import json
import signal
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.contest import Contestant, RowsMismatch, play, table  # noqa: E402 - after the path
from bench.create import UNLIMITED, USUAL_WAY  # noqa: E402
from bench.home import home_for_this_run  # noqa: E402
from bench.load import Load, LoadFailed, drive, get_requests  # noqa: E402
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

TARGET = 2.5
CONNECTIONS = 16
TASKS = 200


def main() -> None:
    options = _arguments()
    shape = Shape(None, options.threads, options.processes)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    missed = []
    try:
        with home_for_this_run(**UNLIMITED) as home, _contestants(home, shape) as kinds:
            for title, contestants in kinds.items():
                play(contestants, rounds=options.rounds, seconds=options.seconds)
                print(table(title, contestants), flush=True)
                ours, usual = contestants
                if ours.rate < TARGET * usual.rate:
                    missed.append(title)
    except (LoadFailed, NotStarted, RowsMismatch) as error:
        sys.exit(f"the measurement failed: {error}")
    if missed:
        sys.exit(f"too slow, less than {TARGET:g} times the usual way: {', '.join(missed)}")


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--threads", type=int, help="of each process")
    options.add_argument("--processes", type=int)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=3.0, help="of each turn")
    return options.parse_args()


@contextlib.contextmanager
def _contestants(home: Path, shape: Shape) -> Iterator[dict[str, list[Contestant]]]:
    """Yield both implementations of each kind of read, ready to run."""
    access, usual_access = prepared("bench.product"), prepared("bench.usual_way.prepare")
    body: dict[str, Any] = access["body"]
    usual_body = {**body, "origin": body["origin"] | {"org_id": usual_access["org_id"]}}
    database, postgres = embedded.database_url(home), postgres_pid(home)
    with contextlib.ExitStack() as stack:
        sides = []
        for name, application, key, task, field in (
            ("ours", PRODUCT, access["api_key"], body, "task_id"),
            ("usual way", USUAL_WAY, usual_access["api_key"], usual_body, "id"),
        ):
            port, log = free_port(), home / "logs" / f"{name.split()[0]}-web.log"
            command = shape.command(application, port=port)
            web = stack.enter_context(serving(command, port=port, log=log))
            ids = [_created(port, key, task, number)[field] for number in range(TASKS)]
            sides.append((name, port, key, ids, {"web": web, "PG": postgres}))
        yield {
            "gets per second": [
                Contestant(
                    name,
                    _reads(port, key, [f"/v1/tasks/{one}" for one in ids]),
                    database,
                    pids=pids,
                )
                for name, port, key, ids, pids in sides
            ],
            "lists per second": [
                Contestant(name, _reads(port, key, ["/v1/tasks"]), database, pids=pids)
                for name, port, key, _, pids in sides
            ],
        }


def _created(port: int, api_key: str, body: dict[str, Any], number: int) -> dict[str, Any]:
    """Create a task by the API. Return what it returned."""
    task = body | {"origin": body["origin"] | {"request_id": f"read-{number}"}}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/tasks",
        data=json.dumps(task).encode(),
        headers={"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - http on loopback
        created: dict[str, Any] = json.load(response)
    return created


def _reads(port: int, api_key: str, paths: list[str]) -> Callable[[float], Load]:
    requests = get_requests(paths=itertools.cycle(paths), api_key=api_key)
    return lambda seconds: drive(
        port=port, requests=requests, connections=CONNECTIONS, seconds=seconds, expected=200
    )


if __name__ == "__main__":
    main()
