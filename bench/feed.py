"""Does every reader of the feed get every event, once and in order, while many write?

`WRITERS` connections write events of `TASKS` tasks as fast as PostgreSQL takes them, some with
transactions that are odd on purpose (see bench/writers.py). Meanwhile readers read along over the
stream process's own command line: some page by page, some by Server-Sent Events, cut off again and
again in the middle of it. Each checks every event as it comes: a task's sequences must count up from
1 without a gap, so what was skipped, told twice or told out of order is found at once.

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
PATIENCE_SECONDS = 30.0
"""A reader that has heard nothing for so long gives up."""
SAMPLE = 20
"""Of so many events, one is looked at for its lag: parsing times is not what is measured."""


@dataclass
class Seen:
    """What a reader saw. `told` counts events; the rest should stay 0."""

    name: str
    told: int = 0
    cuts: int = 0
    skipped: int = 0
    misplaced: int = 0
    seconds: float = 0.0
    lags: list[float] = field(default_factory=list)
    # Each task's last sequence.
    sequences: dict[str, int] = field(default_factory=dict)

    def see(self, item: dict[str, Any]) -> None:
        expected = self.sequences.get(item["task_id"], 0) + 1
        self.skipped += max(0, item["sequence"] - expected)
        self.misplaced += item["sequence"] < expected
        self.sequences[item["task_id"]] = max(expected - 1, item["sequence"])
        self.told += 1
        # A task's first event was there before anybody read.
        if self.told % SAMPLE == 0 and expected > 1:
            self.lags.append(time.time() - datetime.fromisoformat(item["timestamp"]).timestamp())


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--events", type=int, default=200_000)
    options.add_argument("--cursors", type=int, default=2, help="readers page by page")
    options.add_argument("--streams", type=int, default=2, help="readers by SSE")
    options.add_argument("--pause", type=float, default=0.0, help="seconds each writer rests")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with _home() as home:
            is_good = _run(home, given)
    except (NotStarted, psycopg.Error, httpx.HTTPError) as error:
        sys.exit(f"the measurement failed: {error}")
    if not is_good:
        sys.exit("a reader missed events, or saw them out of order")


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    """A home for this run alone; nothing of it is left afterwards."""
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


def _run(home: Path, given: argparse.Namespace) -> bool:
    events, cursors, streams = given.events, given.cursors, given.streams
    access = json.loads(_said(["-m", "bench.tasks", "--tasks", str(TASKS)]))
    each = events // WRITERS
    total = TASKS + each * WRITERS
    port = free_port()
    command = stream_command(host="127.0.0.1", port=port)
    log = home / "logs" / "stream.log"
    with serving(command, port=port, log=log), _readers(cursors + streams) as readers:
        place = (f"http://127.0.0.1:{port}", access["api_key"], total)
        kinds: list[Callable[..., Seen]] = [page_reader] * cursors + [stream_reader] * streams
        reading: list[Future[Seen]] = [
            readers.submit(kind, *place, number) for number, kind in enumerate(kinds)
        ]
        seconds = _write(database_url(home), each, given.pause)
        seen = [reader.result() for reader in reading]
    print(f"{each * WRITERS:,} events by {WRITERS} writers: {each * WRITERS / seconds:,.0f}/s")
    print(_table(seen, total))
    return all(one.told == total and not one.skipped and not one.misplaced for one in seen)


@contextlib.contextmanager
def _readers(count: int) -> Iterator[ProcessPoolExecutor]:
    """A process for each reader, so that none waits for another's interpreter. All have started."""
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as processes:
        list(processes.map(time.sleep, [1.0] * count))
        yield processes


def _said(arguments: list[str]) -> bytes:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout


def _write(url: str, each: int, pause: float) -> float:
    """Write all events; how long that took."""
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


def page_reader(url: str, key: str, total: int, number: int) -> Seen:
    """`GET /v1/events`, page after page, each from the cursor of the one before."""
    seen = Seen("by cursor")
    started = heard_at = time.monotonic()
    query: dict[str, Any] = {"after": "beginning", "limit": 1000, "wait": 5}
    with httpx.Client(base_url=url, headers=_headers(key), timeout=30) as client:
        while seen.told < total and time.monotonic() - heard_at < PATIENCE_SECONDS:
            answer = client.get("/v1/events", params=query).raise_for_status()
            page = orjson.loads(answer.content)
            for item in page["data"]:
                seen.see(item)
                heard_at = time.monotonic()
            query["after"] = page["next_cursor"]
    seen.seconds = time.monotonic() - started
    return seen


def stream_reader(url: str, key: str, total: int, number: int) -> Seen:
    """`GET /v1/events/stream`, cut off after some hundreds of events, and taken up by the last id."""
    seen = Seen("by stream")
    chance = random.Random(number)
    last_id = ""
    started = heard_at = time.monotonic()
    with httpx.Client(base_url=url, timeout=30) as client:
        while seen.told < total and time.monotonic() - heard_at < PATIENCE_SECONDS:
            left = chance.randint(1, 4000)
            for frame in _frames(client, key, last_id):
                last_id = frame.id
                if frame.data:
                    seen.see(orjson.loads(frame.data))
                    left, heard_at = left - 1, time.monotonic()
                if not left or seen.told == total:
                    break
            seen.cuts += 1
    seen.seconds = time.monotonic() - started
    return seen


@dataclass(frozen=True, slots=True)
class Frame:
    id: str
    data: bytes


def _frames(client: httpx.Client, key: str, last_id: str) -> Iterator[Frame]:
    """The stream's frames. Whoever stops listening cuts it off; what was half sent is lost."""
    resume = {"Last-Event-ID": last_id} if last_id else {}
    query = {"after": "beginning"}
    address = "/v1/events/stream"
    with client.stream("GET", address, params=query, headers=_headers(key) | resume) as response:
        response.raise_for_status()
        kept = b""
        for part in response.iter_raw():
            *whole, kept = (kept + part).split(b"\n\n")
            yield from map(_parsed, whole)


def _parsed(frame: bytes) -> Frame:
    fields = dict(line.split(b": ", 1) for line in frame.split(b"\n"))
    return Frame(fields[b"id"].decode(), fields.get(b"data", b""))


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


# --- what is said of it ---------------------------------------------------------------------------


def _table(seen: list[Seen], total: int) -> str:
    columns = ("told", "missing", "skipped", "misplaced", "cuts", "events/s", "lag p50", "p99 ms")
    lines = [f"{'reader':<11}" + "".join(f"{column:>11}" for column in columns)]
    for one in seen:
        percentiles = statistics.quantiles(one.lags, n=100) if len(one.lags) > 1 else [0.0] * 99
        numbers = (one.told, total - one.told, one.skipped, one.misplaced, one.cuts)
        rates = (one.told / one.seconds, percentiles[49] * 1000, percentiles[98] * 1000)
        row = "".join(f"{number:>11,}" for number in numbers)
        lines.append(f"{one.name:<11}{row}" + "".join(f"{rate:>11,.0f}" for rate in rates))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
