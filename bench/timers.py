"""Ten thousand SLA clocks run out in the same instant: is each told once, and how late?

Real tasks, queued and with nobody to take them, are written so that all their clocks show the same:
at one instant each is at risk, at a later one each is late. Two lifecycle workers and the ticker, by
their own command lines, have to tell of it. Lateness is looked at from both sides: `effect` is what
the event says of itself (`occurred_at`), `seen` is when another connection could read it.

Then clocks run out one after another while nobody works: in the midst of it all processes are killed
(-9), and are away for `--stop-seconds`. After they came back each clock must have been told of once.

Exit code 1 when a clock was not told of exactly once, or a p99 of the first part is over `P99_SECONDS`.
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
LATENCY_SECONDS = 50
"""The tasks' target latency: between at risk and late lies a fifth of it."""
WRITTEN_AT_ONCE = 500
WRITTEN_A_SECOND = 700.0
"""At least; so long before the first clock the writing begins."""
BOOT_SECONDS = 6.0
LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 60.0

CONTRACT = {
    "task_type": "verification",
    "domain": "security",
    "title": "Verify endpoint owner activity",
    "instructions": "Call the endpoint owner and confirm the 03:42 UTC PowerShell session.",
    "sla": {"target_latency_seconds": LATENCY_SECONDS},
    # Nobody can: what is measured is the clocks.
    "requirements": {"skills": ["deep_sea_diving"]},
    "output": {"expected_format": "text"},
}

AT_RISK, BREACHED = "task.sla_at_risk", "task.sla_breached"
TOLD = """
SELECT count(*), count(DISTINCT task_id),
    coalesce(percentile_disc(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY lateness), '{0,0}')
FROM events_event, LATERAL (SELECT extract(epoch FROM
    occurred_at - (data ->> CASE type WHEN 'task.sla_at_risk' THEN 'at_risk_at' ELSE 'due_at' END)
        ::timestamptz)::float AS lateness) AS late
WHERE organisation_id = %s AND type = %s
"""


@dataclass(frozen=True, slots=True)
class Told:
    """How often an event was told, of how many tasks, and how late, in seconds."""

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
    """All at risk in one instant, all late in another. Answers what was missed."""
    at_risk_at = _now() + timedelta(seconds=count / WRITTEN_A_SECOND + BOOT_SECONDS)
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
        told = _told(organisation_id, name)
        p50, p99 = told.effect
        print(f"{name:<20}{told.tasks:>8}{told.events:>8}{p50:>8.2f}{p99:>8.2f}{p99_seen:>10.2f}")
        yield from _miscounted(name, told, count)
        if max(p99, p99_seen) > P99_SECONDS:
            yield f"the p99 of {name} is over {P99_SECONDS:g} s"


def _while_away(home: Path, count: int, seconds: float) -> Iterator[str]:
    """Clocks run out one by one; the processes are killed at the first and are away until the last."""
    first = _now() + timedelta(seconds=count / WRITTEN_A_SECOND + BOOT_SECONDS)
    each = timedelta(seconds=seconds / count)
    organisation_id = _written(count, lambda number: first + number * each)
    with _workforce(home) as kill:
        _until(lambda: _told(organisation_id, BREACHED).tasks, lambda tasks: tasks > 0)
        kill()
        before = _told(organisation_id, BREACHED).tasks
        time.sleep(seconds)
    back_at = time.monotonic()
    with _workforce(home):
        _wait_until_none_is_due(organisation_id)
    told = _told(organisation_id, BREACHED)
    print(
        f"\nall processes killed after {before} of {count} clocks, away for {seconds:g} s: all told"
        f" {time.monotonic() - back_at:.1f} s after they were started again"
        f" ({told.tasks} tasks, {told.events} events)"
    )
    yield from _miscounted(f"{BREACHED} after the stop", told, count)


def _miscounted(name: str, told: Told, count: int) -> Iterator[str]:
    if (told.tasks, told.events) != (count, count):
        yield f"{name}: {told.events} events of {told.tasks} tasks instead of {count}"


@contextlib.contextmanager
def _workforce(home: Path) -> Iterator[Callable[[], None]]:
    """The lifecycle workers and the ticker; what is yielded kills them."""
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
    """How many seconds after `since` 99 % of the tasks could be read with `column` set."""
    _until(lambda: _flagged(organisation_id, column), lambda flagged: flagged >= 0.99 * count)
    return (_now() - since).total_seconds()


def _wait_until_none_is_due(organisation_id: UUID) -> None:
    _until(lambda: -_timers(organisation_id), lambda left: left == 0)


def _until(look: Callable[[], int], is_enough: Callable[[int], bool]) -> None:
    """Raises `LoadFailed` when what is looked at has not changed for `PATIENCE_SECONDS`."""
    seen, changed_at = look(), time.monotonic()
    while not is_enough(seen):
        if time.monotonic() - changed_at > PATIENCE_SECONDS:
            raise LoadFailed(f"nothing moves any more at {abs(seen)}")
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
    """`count` queued tasks of a new organisation, late at `due_at` of their number; its id."""
    from django.db import connection

    from apps.accounts.principal import system
    from apps.accounts.services import create_organisation

    organisation = create_organisation(name="Northwind Verification")
    actor = system("bench", organisation.id)
    for begin in range(0, count, WRITTEN_AT_ONCE):
        numbers = range(begin, min(begin + WRITTEN_AT_ONCE, count))
        _write(actor, [due_at(number) for number in numbers])
    # What autovacuum does within a minute: such rows never come all at once.
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


def _told(organisation_id: UUID, event_type: str) -> Told:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(TOLD, [organisation_id, event_type])
        events, tasks, (p50, p99) = cursor.fetchone()
    return Told(events, tasks, (p50, p99))


def _flagged(organisation_id: UUID, column: str) -> int:
    from apps.tasks.models import Task

    flagged = Task.objects.filter(organisation_id=organisation_id, **{f"{column}__isnull": False})
    return flagged.count()


def _timers(organisation_id: UUID) -> int:
    from apps.timers.models import Timer

    return Timer.objects.filter(organisation_id=organisation_id).count()


if __name__ == "__main__":
    main()
