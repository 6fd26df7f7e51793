"""From commit to request: events announced at a steady rate, and when their requests arrived."""

import itertools
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from bench.load import LoadFailed
from bench.origins import Origins
from bench.servers import running

SETTLING_SECONDS = 2.0
LEAST_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Latencies:
    """Hold latencies in milliseconds, in no order."""

    milliseconds: Sequence[float]

    def p(self, percent: int) -> float:
        return statistics.quantiles(self.milliseconds, n=100)[percent - 1]

    @staticmethod
    def together(several: "Sequence[Latencies]") -> "Latencies":
        return Latencies([*itertools.chain.from_iterable(one.milliseconds for one in several)])

    def __str__(self) -> str:
        return f"p50 {self.p(50):.0f} ms, p99 {self.p(99):.0f} ms, of {len(self.milliseconds)}"


def announced(
    *, organisation_id: UUID, origins: Origins, rate: float, seconds: float, log: Path
) -> Latencies:
    """Announce `rate` events a second for `seconds`, from a process of its own; what each took.

    The first `SETTLING_SECONDS` do not count. Raises `LoadFailed` when the announcer falls behind,
    or not every event came exactly once.
    """
    origins.reset()
    command = [sys.executable, "-m", "bench.announcer", "--organisation", str(organisation_id)]
    command += ["--origins", json.dumps(origins.origins)]
    command += ["--rate", str(rate), "--seconds", str(SETTLING_SECONDS + seconds)]
    with running(command, log=log) as announcer:
        said, _ = announcer.communicate()
    if announcer.returncode:
        raise LoadFailed(f"the announcer\n{log.read_text()[-2000:]}")
    asked: dict[str, float] = json.loads(said)
    meant = rate * (SETTLING_SECONDS + seconds)
    if len(asked) < LEAST_SHARE * meant:
        raise LoadFailed(f"only {len(asked)} of {meant:.0f} events were announced")
    origins.wait_for(len(asked))
    return _latencies(asked, origins)


def _latencies(asked: dict[str, float], origins: Origins) -> Latencies:
    received = origins.received()
    if received.duplicates or received.arrivals.keys() != asked.keys():
        arrived, twice = len(received.arrivals), received.duplicates
        raise LoadFailed(f"{len(asked)} events, {arrived} arrived, {twice} more than once")
    begins = min(asked.values()) + SETTLING_SECONDS
    return Latencies(
        [(received.arrivals[one] - at) * 1000 for one, at in asked.items() if at >= begins]
    )
