"""Let several implementations do the same work in turns, and compare their rates."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from bench.cpu import cpu_seconds, processes_below
from bench.load import Load

WARM_UP_SECONDS = 1.5


class RowsMismatch(Exception):
    """The responses and the stored rows do not agree."""


@dataclass
class Contestant:
    """An implementation that works for some seconds, and the rows that each request leaves."""

    name: str
    run: Callable[[float], Load]
    database: str
    rows: Mapping[str, int] = field(default_factory=dict)
    # What one request counts for.
    units: int = 1
    # Processes whose processor time is counted, with all that they start, by what they are.
    pids: Mapping[str, int] = field(default_factory=dict)
    loads: list[Load] = field(default_factory=list)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, seconds: float) -> None:
        """Measure once and keep the load. Raise `RowsMismatch` if a row is missing or extra."""
        before, cpu_before = self._count(), self._cpu()
        load = self.run(seconds)
        after, cpu_after = self._count(), self._cpu()
        for table, rows_of_each in self.rows.items():
            created = after[table] - before[table]
            if created != rows_of_each * load.done:
                raise RowsMismatch(
                    f"{self.name}: {load.done} requests left {created} rows in {table}"
                )
        self.loads.append(load)
        for name, seconds_after in cpu_after.items():
            cpu = (seconds_after - cpu_before[name]) / max(1, load.done * self.units)
            self.cpu.setdefault(name, []).append(cpu)

    def forget(self) -> None:
        """Forget the turns so far: they were to warm up."""
        self.loads.clear()
        self.cpu.clear()

    @property
    def rates(self) -> list[float]:
        return [load.done * self.units / load.seconds for load in self.loads]

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def cpu_ms(self, name: str) -> float:
        """Return the processor time of a unit in milliseconds: the median of all turns."""
        return statistics.median(self.cpu[name]) * 1000

    def latency(self, percent: int) -> float:
        """Return a percentile of the latency of requests over all turns, in milliseconds."""
        latencies = [latency for load in self.loads for latency in load.latencies]
        return statistics.quantiles(latencies, n=100)[percent - 1] * 1000

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(processes_below(root)) for name, root in self.pids.items()}

    def _count(self) -> dict[str, int]:
        if not self.rows:
            return {}
        with psycopg.connect(self.database) as connection:
            counts = {}
            for table in self.rows:
                row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
                assert row is not None
                counts[table] = int(row[0])
            return counts


def play(contestants: Sequence[Contestant], *, rounds: int, seconds: float) -> None:
    """Warm up; then let each take a turn in each round, in another order every time."""
    for contestant in contestants:
        contestant.measure(WARM_UP_SECONDS)
        contestant.forget()
    for number in range(rounds):
        first = number % len(contestants)
        for contestant in [*contestants[first:], *contestants[:first]]:
            contestant.measure(seconds)


def table(title: str, contestants: Sequence[Contestant]) -> str:
    """Return the figures of all contestants; ratios are the first one's rate by each other's."""
    names = list(contestants[0].pids)
    head = f"{title:<24}{'median':>8}{'min':>8}{'max':>8}{'p50 ms':>9}{'p99 ms':>9}"
    cpu_head = "".join(f"{f'{name} CPU ms':>12}" for name in names)
    lines = [f"{head}{cpu_head}{'ours is':>10}"]
    for one in contestants:
        rates = f"{one.rate:>8.0f}{min(one.rates):>8.0f}{max(one.rates):>8.0f}"
        latencies = f"{one.latency(50):>9.1f}{one.latency(99):>9.1f}"
        cpu = "".join(f"{one.cpu_ms(name):>12.2f}" if one.pids else " " * 12 for name in names)
        ratio = f"{contestants[0].rate / one.rate:.2f} x"
        lines.append(f"{one.name:<24}{rates}{latencies}{cpu}{ratio:>10}")
    return "\n".join(lines)
