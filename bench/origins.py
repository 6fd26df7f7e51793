"""The receivers as a bench sees them: where they are, and what came to them."""

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

LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """What came since the receivers were last told to forget."""

    # Webhook id -> when its first request was whole (`time.time()`).
    arrivals: dict[str, float]
    again: int
    signed_twice: int
    # Of each silent origin: how many requests wait now, and the most that ever did.
    silent: list[dict[str, int]]

    @property
    def requests(self) -> int:
        return len(self.arrivals) + self.again

    @property
    def rate(self) -> float:
        """Requests a second, between the first and the last."""
        times = sorted(self.arrivals.values())
        return (len(times) - 1) / (times[-1] - times[0])


@dataclass(frozen=True, slots=True)
class Origins:
    """Receivers on loopback, each at an origin of its own."""

    control: str
    origins: Sequence[str]
    silent: Sequence[str]

    @staticmethod
    @contextlib.contextmanager
    def listening(
        *, answering: int, delay: float, log: Path, silent: int = 0
    ) -> "Iterator[Origins]":
        command = [sys.executable, "-m", "bench.receiver", "--delay", str(delay)]
        command += ["--answering", str(answering), "--silent", str(silent)]
        with running(command, log=log) as process:
            assert process.stdout
            line = process.stdout.readline()
            if not line:
                raise NotStarted(f"the receivers\n{log.read_text()[-2000:]}")
            yield Origins(**json.loads(line))

    def seen(self) -> Arrived:
        return Arrived(**self._ask("GET", "/seen"))

    def forget(self) -> None:
        self._ask("POST", "/forget")

    def hang_up(self) -> None:
        """Close the connections on which a silent origin keeps somebody waiting."""
        self._ask("POST", "/hang-up")

    def wait_for(self, count: int) -> None:
        """Until so many requests came. Raises `LoadFailed` when no more come."""
        at_last = until(lambda: self._ask("GET", "/count"), lambda came: came >= count)
        if at_last < count:
            raise LoadFailed(f"{at_last} of {count} requests came")

    def _ask(self, method: str, path: str) -> Any:
        answer = httpx.request(
            method, self.control + path, timeout=PATIENCE_SECONDS, trust_env=False
        )
        return answer.raise_for_status().json()


def until(look: Callable[[], int], is_enough: Callable[[int], bool]) -> int:
    """The first number that is enough, or the one that did not change for `PATIENCE_SECONDS`."""
    seen, changed_at = look(), time.monotonic()
    while not is_enough(seen) and time.monotonic() - changed_at < PATIENCE_SECONDS:
        time.sleep(LOOK_SECONDS)
        before, seen = seen, look()
        if seen != before:
            changed_at = time.monotonic()
    return seen
