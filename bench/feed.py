"""Check that each reader of the feed gets every event once and in order, while many write.

`WRITERS` connections write events of `TASKS` tasks as fast as PostgreSQL accepts them, some in
unusual transactions on purpose (see bench/writers.py). Meanwhile readers use the stream process,
run by its own command line: some page by page, some by Server-Sent Events, with repeated
disconnects. Each checks every event: a task's sequences must count up from 1 without a gap, so a
skipped, repeated or misplaced event is detected at once.

Exit code 1 when a reader missed an event or saw one out of order.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import psycopg

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.servers import NotStarted, free_port, serving  # noqa: E402 - the path must be set first
from config.embedded import database_url  # noqa: E402
from config.processes import stream_command  # noqa: E402
from local import embedded  # noqa: E402

WRITERS = 64
PROCESSES = 4
TASKS = 400
# A reader that receives nothing for this long gives up.
PATIENCE_SECONDS = 30.0
# The lag is measured of one in this many events: parsing times costs more than reading.
SAMPLE = 20


@dataclass
class Result:
    """Hold what a reader got. `events` counts events; `skipped` and `misplaced` should stay 0."""

    name: str
    events: int = 0
    cuts: int = 0
    skipped: int = 0
    misplaced: int = 0
    seconds: float = 0.0
    lags: list[float] = field(default_factory=list)
    # Each task's last sequence.
    sequences: dict[str, int] = field(default_factory=dict)

    def add(self, item: dict[str, Any]) -> None:
        expected = self.sequences.get(item["task_id"], 0) + 1
        self.skipped += max(0, item["sequence"] - expected)
        self.misplaced += item["sequence"] < expected
        self.sequences[item["task_id"]] = max(expected - 1, item["sequence"])
        self.events += 1
        # A task's first event was written before the readers started.
        if self.events % SAMPLE == 0 and expected > 1:
            self.lags.append(time.time() - datetime.fromisoformat(item["timestamp"]).timestamp())


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--events", type=int, default=200_000)
    options.add_argument("--cursors", type=int, default=2, help="readers page by page")
    options.add_argument("--streams", type=int, default=2, help="readers by SSE")
    options.add_argument(
        "--pause", type=float, default=0.0, help="seconds between a writer's events"
    )
    arguments = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with _home() as home:
            is_complete = _run(home, arguments)
    except (NotStarted, psycopg.Error, httpx.HTTPError) as error:
        sys.exit(f"the measurement failed: {error}")
    if not is_complete:
        sys.exit("a reader missed events, or saw them out of order")


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    """Yield a home for this run, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="biolayer-bench-") as folder:
        home = Path(folder)
        for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEYS"):
            os.environ.pop(name, None)
        os.environ |= {"BIOLAYER_HOME": folder, "BIOLAYER_RATE_LIMIT": "100000000"}
        try:
            embedded.start_postgres(home)
            embedded.start_redis(home)
            yield home
        finally:
            embedded.stop_redis(home)
            embedded.stop_postgres(home)


def _run(home: Path, arguments: argparse.Namespace) -> bool:
    events, cursors, streams = arguments.events, arguments.cursors, arguments.streams
    access = json.loads(_output_of(["-m", "bench.tasks", "--tasks", str(TASKS)]))
    each = events // WRITERS
    total = TASKS + each * WRITERS
    port = free_port()
    command = stream_command(host="127.0.0.1", port=port)
    log = home / "logs" / "stream.log"
    with serving(command, port=port, log=log), _readers(cursors + streams) as readers:
        place = (f"http://127.0.0.1:{port}", access["api_key"], total)
        kinds: list[Callable[..., Result]] = [page_reader] * cursors + [stream_reader] * streams
        reading: list[Future[Result]] = [
            readers.submit(kind, *place, number) for number, kind in enumerate(kinds)
        ]
        seconds = _write(database_url(home), each, arguments.pause)
        results = [reader.result() for reader in reading]
    print(f"{each * WRITERS:,} events by {WRITERS} writers: {each * WRITERS / seconds:,.0f}/s")
    print(_table(results, total))
    return all(
        result.events == total and not result.skipped and not result.misplaced for result in results
    )


@contextlib.contextmanager
def _readers(count: int) -> Iterator[ProcessPoolExecutor]:
    """Yield started processes, one per reader, so that none waits for another's interpreter."""
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as processes:
        list(processes.map(time.sleep, [1.0] * count))
        yield processes


def _output_of(arguments: list[str]) -> bytes:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout


def _write(url: str, each: int, pause: float) -> float:
    """Write all events. Return how many seconds that took."""
    threads = WRITERS // PROCESSES
    started = time.perf_counter()
    writers = [
        subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "bench.writers",
                    "--url",
                    url,
                    "--seed",
                    str(1000 * number),
                ),
                *("--connections", str(threads), "--events", str(each), "--pause", str(pause)),
            ],
            cwd=PROJECT,
            stdout=subprocess.DEVNULL,
        )
        for number in range(PROCESSES)
    ]
    try:
        if any(writer.wait() for writer in writers):
            raise NotStarted("a writer failed")
    finally:
        for writer in writers:
            writer.kill()
    return time.perf_counter() - started


# --- the readers, each in a process of its own ----------------------------------------------------


def page_reader(url: str, key: str, total: int, number: int) -> Result:
    """Read `GET /v1/events` page by page, each from the cursor of the previous page."""
    result = Result("by cursor")
    started = heard_at = time.monotonic()
    query: dict[str, Any] = {"after": "beginning", "limit": 1000, "wait": 5}
    with httpx.Client(base_url=url, headers=_headers(key), timeout=30) as client:
        while result.events < total and time.monotonic() - heard_at < PATIENCE_SECONDS:
            response = client.get("/v1/events", params=query).raise_for_status()
            page = orjson.loads(response.content)
            for item in page["data"]:
                result.add(item)
                heard_at = time.monotonic()
            query["after"] = page["next_cursor"]
    result.seconds = time.monotonic() - started
    return result


def stream_reader(url: str, key: str, total: int, number: int) -> Result:
    """Read `GET /v1/events/stream`, disconnect at random, and resume by the last id."""
    result = Result("by stream")
    generator = random.Random(number)
    last_id = ""
    started = heard_at = time.monotonic()
    with httpx.Client(base_url=url, timeout=30) as client:
        while result.events < total and time.monotonic() - heard_at < PATIENCE_SECONDS:
            remaining = generator.randint(1, 4000)
            for frame in _frames(client, key, last_id):
                last_id = frame.id
                if frame.data:
                    result.add(orjson.loads(frame.data))
                    remaining, heard_at = remaining - 1, time.monotonic()
                if not remaining or result.events == total:
                    break
            result.cuts += 1
    result.seconds = time.monotonic() - started
    return result


@dataclass(frozen=True, slots=True)
class Frame:
    id: str
    data: bytes


def _frames(client: httpx.Client, key: str, last_id: str) -> Iterator[Frame]:
    """Yield the stream's frames. A reader that stops disconnects, and loses a partial frame."""
    resume = {"Last-Event-ID": last_id} if last_id else {}
    query = {"after": "beginning"}
    address = "/v1/events/stream"
    with client.stream("GET", address, params=query, headers=_headers(key) | resume) as response:
        response.raise_for_status()
        rest = b""
        for part in response.iter_raw():
            *complete, rest = (rest + part).split(b"\n\n")
            yield from map(_parsed, complete)


def _parsed(frame: bytes) -> Frame:
    fields = dict(line.split(b": ", 1) for line in frame.split(b"\n"))
    return Frame(fields[b"id"].decode(), fields.get(b"data", b""))


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


# --- the table ------------------------------------------------------------------------------------


def _table(results: list[Result], total: int) -> str:
    columns = ("read", "missing", "skipped", "misplaced", "cuts", "events/s", "lag p50", "p99 ms")
    lines = [f"{'reader':<11}" + "".join(f"{column:>11}" for column in columns)]
    for result in results:
        lags = result.lags
        percentiles = statistics.quantiles(lags, n=100) if len(lags) > 1 else [0.0] * 99
        read = result.events
        numbers = (read, total - read, result.skipped, result.misplaced, result.cuts)
        rates = (read / result.seconds, percentiles[49] * 1000, percentiles[98] * 1000)
        row = "".join(f"{number:>11,}" for number in numbers)
        lines.append(f"{result.name:<11}{row}" + "".join(f"{rate:>11,.0f}" for rate in rates))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
