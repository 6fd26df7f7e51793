"""Judge whether the order of the queue is kept, by the event log of a real installation.

1. **Three equal workers** of two units who can do everything: 160 tasks of all urgencies, posted
   within seconds; every fifth run is released.
2. **A crowd** of 30 different workers, 150 different tasks; offers are declined, or lapse, and runs
   are released.
3. **One worker** of three units, offline at first: 82 equal tasks wait when it becomes available.

Each seed has an organisation of its own. An offer is a *jump* when another task with an earlier
place, which fits the same worker and was never offered to it, had waited for `SETTLED_SECONDS` at
that moment, had been shown as queued by the feed before it (a busy machine commits late), and
waited on. Exit with 1 when there was one.

Queued to offered is measured where a fitting worker was free: from the moment at which both the
task waited and such a worker had a unit free, to the task's offer.
"""

import argparse
import math
import signal
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.order_judge import Verdict  # noqa: E402 - the path must be set first
from bench.order_plays import SCENARIOS, Scenario, played, prepare  # noqa: E402
from tests.faults.installation import Installation  # noqa: E402

SHOWN_JUMPS = 5


def main() -> None:
    """Play the chosen scenarios and print their figures. Exit with 1 after a jump."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20, help="of each scenario")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--scenario", choices=tuple(SCENARIOS), help="this one alone")
    options = parser.parse_args()
    # Without this, SIGTERM would leave the installation running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    seeds = range(options.first, options.first + options.seeds)
    chosen = [SCENARIOS[options.scenario]] if options.scenario else list(SCENARIOS.values())
    jumps = 0
    with Installation.running(workforce=False) as installation:
        plays = prepare(installation, scenarios=chosen, seeds=seeds)
        for scenario in chosen:
            mine = (played(play) for play in plays if play.scenario is scenario)
            verdict = sum(mine, start=Verdict())
            print(line_of(scenario, verdict, seeds=len(seeds)), flush=True)
            for jump in sorted(verdict.jumps, key=lambda one: -one.seconds)[:SHOWN_JUMPS]:
                print(f"    {jump}")
            jumps += len(verdict.jumps)
    if jumps:
        sys.exit(f"{jumps} offers jumped the queue")


def line_of(scenario: Scenario, verdict: Verdict, *, seeds: int) -> str:
    """Return a scenario's figures in one line."""
    return (
        f"{scenario.name:<20} {seeds:>3} seeds  {verdict.tasks:>5} tasks"
        f" ({verdict.submitted} submitted)  {verdict.offers:>5} offers"
        f"  {len(verdict.jumps):>4} jumps"
        f"  queued→offered p50 {percentile(verdict.delays, 50) * 1000:.0f} ms,"
        f" p99 {percentile(verdict.delays, 99) * 1000:.0f} ms"
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of the values; NaN for fewer than two."""
    if len(values) < 2:
        return math.nan
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
