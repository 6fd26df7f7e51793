"""Compare tasks per second created by `POST /v1/tasks/batch` with single creates, in one run.

Both are sent to the service's own web process, by its own command line. A batch has `SIZE`
contracts. The contestants take turns, each round in another order. Every response must be the one
expected and every row must be stored, or the run fails. CPU is the processor time of the web
processes and of PostgreSQL for each task.

Exit code 1 when batches create less than `TARGET` times the tasks per second of single creates.
"""

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.contest import Contestant, RowsMismatch, play, table  # noqa: E402 - after the path
from bench.create import MARK, OUR_ROWS, UNLIMITED  # noqa: E402
from bench.home import home_for_this_run  # noqa: E402
from bench.load import LoadFailed, drive, post_requests  # noqa: E402
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

TARGET = 8.0
SIZE = 500
CONNECTIONS = 16
BATCH_CONNECTIONS = 4


def main() -> None:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with home_for_this_run(**UNLIMITED) as home, _contestants(home) as contestants:
            play(contestants, rounds=options.rounds, seconds=options.seconds)
    except (LoadFailed, NotStarted, RowsMismatch) as error:
        sys.exit(f"the measurement failed: {error}")
    print(table("tasks per second", contestants))
    batches, singles = contestants
    if batches.rate < TARGET * singles.rate:
        sys.exit(f"too slow: batches create less than {TARGET:g} times the tasks of single creates")


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    return options.parse_args()


@contextlib.contextmanager
def _contestants(home: Path) -> Iterator[list[Contestant]]:
    access, database, port = prepared("bench.product"), embedded.database_url(home), free_port()
    command, log = Shape().command(PRODUCT, port=port), home / "logs" / "ours.log"
    with serving(command, port=port, log=log) as web:
        pids = {"web": web, "PG": postgres_pid(home)}
        body, key = access["body"], access["api_key"]
        batch_rows = {name: rows * SIZE for name, rows in OUR_ROWS.items()}
        batches = post_requests(
            path="/v1/tasks/batch", api_key=key, template=_batch_of(body), mark=MARK
        )
        singles = post_requests(
            path="/v1/tasks", api_key=key, template=json.dumps(_named(body, "")).encode(), mark=MARK
        )
        yield [
            Contestant(
                f"batches of {SIZE}",
                lambda seconds: drive(
                    port=port,
                    requests=batches,
                    connections=BATCH_CONNECTIONS,
                    seconds=seconds,
                    expected=200,
                ),
                database,
                batch_rows,
                units=SIZE,
                pids=pids,
            ),
            Contestant(
                "single creates",
                lambda seconds: drive(
                    port=port,
                    requests=singles,
                    connections=CONNECTIONS,
                    seconds=seconds,
                    expected=201,
                ),
                database,
                OUR_ROWS,
                pids=pids,
            ),
        ]


def _batch_of(body: dict[str, Any]) -> bytes:
    return json.dumps([_named(body, f"-{number}") for number in range(SIZE)]).encode()


def _named(body: dict[str, Any], suffix: str) -> dict[str, Any]:
    return body | {"origin": body["origin"] | {"request_id": MARK.decode() + suffix}}


if __name__ == "__main__":
    main()
