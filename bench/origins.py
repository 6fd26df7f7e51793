"""Start the receivers of a bench, and read what they received."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.load import LoadFailed
from bench.servers import NotStarted, running

POLL_SECONDS = 0.05
STALL_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Received:
    """Count the requests since the receivers were last reset."""

    # Webhook id -> when its first request was complete (`time.time()`).
    arrivals: dict[str, float]
    duplicates: int
    signed_twice: int
    # Of each silent origin: how many requests wait now, and the most that ever waited.
    silent: list[dict[str, int]]

    @property
    def requests(self) -> int:
        return len(self.arrivals) + self.duplicates

    @property
    def rate(self) -> float:
        """Return requests a second, between the first and the last."""
        times = sorted(self.arrivals.values())
        return (len(times) - 1) / (times[-1] - times[0])


@dataclass(frozen=True, slots=True)
class Origins:
    """Control receivers on loopback, each at an origin of its own."""

    control: str
    origins: Sequence[str]
    silent: Sequence[str]

    @staticmethod
    @contextlib.contextmanager
    def listening(
        *, answering: int, delay: float, log: Path, silent: int = 0
    ) -> "Iterator[Origins]":
        """Run the receivers while the block runs. Raise `NotStarted`."""
        command = [sys.executable, "-m", "bench.receiver", "--delay", str(delay)]
        command += ["--answering", str(answering), "--silent", str(silent)]
        with running(command, log=log) as process:
            assert process.stdout
            line = process.stdout.readline()
            if not line:
                raise NotStarted(f"the receivers\n{log.read_text()[-2000:]}")
            yield Origins(**json.loads(line))

    def received(self) -> Received:
        return Received(**self._call("GET", "/received"))

    def reset(self) -> None:
        self._call("POST", "/reset")

    def hang_up(self) -> None:
        """Close the connections on which requests wait for a silent origin."""
        self._call("POST", "/hang-up")

    def wait_for(self, count: int) -> None:
        """Wait for a number of requests. Raise `LoadFailed` when no more arrive."""
        last = poll_until(lambda: self._call("GET", "/count"), lambda total: total >= count)
        if last < count:
            raise LoadFailed(f"{last} of {count} requests arrived")

    def _call(self, method: str, path: str) -> Any:
        response = httpx.request(
            method, self.control + path, timeout=STALL_SECONDS, trust_env=False
        )
        return response.raise_for_status().json()


def poll_until(read: Callable[[], int], is_enough: Callable[[int], bool]) -> int:
    """Return the first number that is enough, or one that did not change for `STALL_SECONDS`."""
    number, changed_at = read(), time.monotonic()
    while not is_enough(number) and time.monotonic() - changed_at < STALL_SECONDS:
        time.sleep(POLL_SECONDS)
        before, number = number, read()
        if number != before:
            changed_at = time.monotonic()
    return number
