"""Measure how late SLA clocks are reported when ten thousand run out at the same instant.

Real tasks, queued and without an eligible worker, are written so that all their clocks agree: at
one instant each is at risk, at a later one each is breached. Two lifecycle workers and the ticker,
by their own command lines, report it. Lateness is measured twice: `effect` by the event's own time
(`occurred_at`), `seen` by when another connection could read it.

Then clocks run out one after another: at the first of them all processes are killed (-9), and
absent for `--stop-seconds`. After the restart each clock must have been reported once.

Exit code 1 when a clock was not reported exactly once, or a p99 of the first part is over
`P99_SECONDS`.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first
from bench.load import LoadFailed  # noqa: E402
from bench.servers import NotStarted, running  # noqa: E402
from config.processes import QUIET_ROOT, ticker_command, worker_command  # noqa: E402

P99_SECONDS = 2.0
WORKERS = 2
# The tasks' target latency: they are at risk a fifth of it before they are late.
LATENCY_SECONDS = 50
WRITE_BATCH = 500
# The least rate of writing: it starts so early that all tasks exist before the first clock runs
# out.
WRITES_PER_SECOND = 700.0
BOOT_SECONDS = 6.0
LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 60.0

CONTRACT = {
    "task_type": "verification",
    "domain": "security",
    "title": "Verify endpoint owner activity",
    "instructions": "Call the endpoint owner and confirm the 03:42 UTC PowerShell session.",
    "sla": {"target_latency_seconds": LATENCY_SECONDS},
    # No worker has this skill: only the clocks are measured.
    "requirements": {"skills": ["deep_sea_diving"]},
    "output": {"expected_format": "text"},
}

AT_RISK, BREACHED = "task.sla_at_risk", "task.sla_breached"
REPORTED = """
SELECT count(*), count(DISTINCT task_id),
    coalesce(percentile_disc(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY lateness), '{0,0}')
FROM events_event, LATERAL (SELECT extract(epoch FROM
    occurred_at - (data ->> CASE type WHEN 'task.sla_at_risk' THEN 'at_risk_at' ELSE 'due_at' END)
        ::timestamptz)::float AS lateness) AS late
WHERE organisation_id = %s AND type = %s
"""


@dataclass(frozen=True, slots=True)
class Reported:
    """Count the events of a type and their tasks, and hold how late they were, in seconds."""

    events: int
    tasks: int
    effect: tuple[float, float]


def main() -> None:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with home_for_this_run() as home:
            _prepare()
            missed = [*_at_once(home, options.timers)]
            if options.stop_seconds:
                missed += _while_away(home, options.timers, options.stop_seconds)
    except (LoadFailed, NotStarted) as error:
        sys.exit(f"the measurement failed: {error}")
    if missed:
        sys.exit("missed: " + "; ".join(missed))


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--timers", type=int, default=10_000)
    options.add_argument("--stop-seconds", type=float, default=60.0, help="0: only the first part")
    return options.parse_args()


# --- the two parts --------------------------------------------------------------------------------


def _at_once(home: Path, count: int) -> Iterator[str]:
    """Measure clocks that run out at one instant. Yield the missed targets."""
    at_risk_at = _now() + timedelta(seconds=count / WRITES_PER_SECOND + BOOT_SECONDS)
    due_at = at_risk_at + timedelta(seconds=LATENCY_SECONDS / 5)
    organisation_id = _written(count, lambda _: due_at)
    if _now() > at_risk_at - timedelta(seconds=BOOT_SECONDS):
        raise LoadFailed("the tasks were not written in time")
    with _workforce(home):
        seen = [
            _seen(organisation_id, "latency_at_risk_at", count, since=at_risk_at),
            _seen(organisation_id, "latency_breached_at", count, since=due_at),
        ]
        _wait_until_none_is_due(organisation_id)
    print(f"{'seconds late':<20}{'tasks':>8}{'events':>8}{'p50':>8}{'p99':>8}{'seen p99':>10}")
    for name, p99_seen in zip((AT_RISK, BREACHED), seen, strict=True):
        reported = _reported(organisation_id, name)
        p50, p99 = reported.effect
        print(
            f"{name:<20}{reported.tasks:>8}{reported.events:>8}"
            f"{p50:>8.2f}{p99:>8.2f}{p99_seen:>10.2f}"
        )
        yield from _miscounted(name, reported, count)
        if max(p99, p99_seen) > P99_SECONDS:
            yield f"the p99 of {name} is over {P99_SECONDS:g} s"


def _while_away(home: Path, count: int, seconds: float) -> Iterator[str]:
    """Kill the processes at the first of many clocks, restart them after the last."""
    first = _now() + timedelta(seconds=count / WRITES_PER_SECOND + BOOT_SECONDS)
    each = timedelta(seconds=seconds / count)
    organisation_id = _written(count, lambda number: first + number * each)
    with _workforce(home) as kill:
        _until(lambda: _reported(organisation_id, BREACHED).tasks, lambda tasks: tasks > 0)
        kill()
        before = _reported(organisation_id, BREACHED).tasks
        time.sleep(seconds)
    back_at = time.monotonic()
    with _workforce(home):
        _wait_until_none_is_due(organisation_id)
    reported = _reported(organisation_id, BREACHED)
    print(
        f"\nall processes killed after {before} of {count} clocks, absent for {seconds:g} s:"
        " all reported"
        f" {time.monotonic() - back_at:.1f} s after the restart"
        f" ({reported.tasks} tasks, {reported.events} events)"
    )
    yield from _miscounted(f"{BREACHED} after the stop", reported, count)


def _miscounted(name: str, reported: Reported, count: int) -> Iterator[str]:
    if (reported.tasks, reported.events) != (count, count):
        yield f"{name}: {reported.events} events of {reported.tasks} tasks instead of {count}"


@contextlib.contextmanager
def _workforce(home: Path) -> Iterator[Callable[[], None]]:
    """Run the lifecycle workers and the ticker. Yield a function that kills them."""
    commands = {
        f"lifecycle-{n}": worker_command(name=f"lifecycle-{n}", queues="lifecycle,bulk")
        for n in range(WORKERS)
    }
    commands["ticker"] = ticker_command()
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                running(command, log=home / "logs" / f"{name}.log", environment=QUIET_ROOT)
            )
            for name, command in commands.items()
        ]

        def kill() -> None:
            for process in processes:
                os.killpg(process.pid, signal.SIGKILL)

        yield kill


def _seen(organisation_id: UUID, column: str, count: int, *, since: datetime) -> float:
    """Return the seconds from `since` until 99 % of the tasks can be read with `column` set."""
    _until(lambda: _flagged(organisation_id, column), lambda flagged: flagged >= 0.99 * count)
    return (_now() - since).total_seconds()


def _wait_until_none_is_due(organisation_id: UUID) -> None:
    _until(lambda: -_timers(organisation_id), lambda left: left == 0)


def _until(look: Callable[[], int], is_enough: Callable[[int], bool]) -> None:
    """Wait. Raise `LoadFailed` when the number has not changed for `PATIENCE_SECONDS`."""
    seen, changed_at = look(), time.monotonic()
    while not is_enough(seen):
        if time.monotonic() - changed_at > PATIENCE_SECONDS:
            raise LoadFailed(f"no progress any more at {abs(seen)}")
        time.sleep(LOOK_SECONDS)
        before, seen = seen, look()
        if seen != before:
            changed_at = time.monotonic()


# --- rows: the settings need the home first -------------------------------------------------------


def _prepare() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _now() -> datetime:
    from apps.base import clock

    return clock.now()


def _written(count: int, due_at: Callable[[int], datetime]) -> UUID:
    """Write `count` queued tasks, late at `due_at(number)`. Return their new organisation's id."""
    from django.db import connection

    from apps.accounts.principal import system
    from apps.accounts.services import create_organisation

    organisation = create_organisation(name="Northwind Verification")
    actor = system("bench", organisation.id)
    for begin in range(0, count, WRITE_BATCH):
        numbers = range(begin, min(begin + WRITE_BATCH, count))
        _write(actor, [due_at(number) for number in numbers])
    # As autovacuum does within a minute: in production rows never come all at once.
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tasks_task, events_event, timers_timer, webhooks_message")
    return organisation.id


def _write(actor: Any, due: list[datetime]) -> None:
    from apps.base.rows import batched
    from apps.base.transactions import atomic
    from apps.tasks.models import Task
    from apps.tasks.services import create_task
    from apps.tasks.services.queueing import queue_task

    created = [at - timedelta(seconds=LATENCY_SECONDS) for at in due]
    with batched():
        ids = [create_task(actor=actor, document=CONTRACT, at=at).task.id for at in created]
    with atomic():
        tasks = list(Task.objects.locked().filter(id__in=ids))
        with batched():
            for task in tasks:
                queue_task(task=task, actor=actor, at=task.created_at)


def _reported(organisation_id: UUID, event_type: str) -> Reported:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(REPORTED, [organisation_id, event_type])
        events, tasks, (p50, p99) = cursor.fetchone()
    return Reported(events, tasks, (p50, p99))


def _flagged(organisation_id: UUID, column: str) -> int:
    from apps.tasks.models import Task

    flagged = Task.objects.filter(organisation_id=organisation_id, **{f"{column}__isnull": False})
    return flagged.count()


def _timers(organisation_id: UUID) -> int:
    from apps.timers.models import Timer

    return Timer.objects.filter(organisation_id=organisation_id).count()


if __name__ == "__main__":
    main()
