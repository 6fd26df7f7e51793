"""Take the steps of starvation: what happens to a run of `/api` that no session claims.

A run may starve that claims could find for `STARVED_AFTER`. Each pass of the sweep takes one step
of each such run, unless its organisation's scheduler is paused:

1. Most steps only count. From the first on, the reference nudges idle sessions: ours ask for runs
   themselves (`wait`). At 4 it requests a worker: sessions are started by their owners here.
2. At `REPORT` the log tells of it, once.
3. At `ATTENTION` the run needs attention. Only an operator moves it on: by `recover`, or `cancel`.

The count is a column, so that it survives restarts. `starvation_at` keeps two tickers from taking a
step twice. A claim sets the count to 0.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts import principal
from apps.base import clock
from apps.base.drains import Postponed, Row, handle_each
from apps.base.rows import Change, Update, write
from apps.base.transactions import atomic
from apps.operations.caller import Origin, daemon
from apps.operations.log import LogType, log_entry
from apps.operations.models import RunDetails, SchedulerState
from apps.operations.projection import task_status
from apps.operations.selectors.scheduler import STARVED_AFTER
from apps.tasks import services as tasks
from apps.tasks.models import Run, RunStatus, Task
from biolayer.lifecycle import Status
from biolayer.times import format_time

REPORT, ATTENTION = 6, 10
"""The counts at which more is done than to count."""

CYCLE_SECONDS = 15.0
AT_LEAST = timedelta(seconds=10)
"""Between two steps of a run: less than a cycle, which no ticker keeps to the millisecond."""

COUNTED_AT_ONCE = 5_000
HANDLED_AT_ONCE = 100

# The condition of the index `task_claimable`, of organisations whose scheduler is not paused.
STARVING = """
FROM accounts_organisation o
CROSS JOIN LATERAL (
    SELECT t.id FROM tasks_task t
    WHERE t.organisation_id = o.id AND t.status = 'created' AND t.is_claim_only
        AND t.gate_count = 1 AND NOT t.is_paused AND t.run_queued_at IS NOT NULL
        AND t.run_queued_at <= %(waited)s
) task
JOIN tasks_run r ON r.task_id = task.id AND r.status = 'queued'
JOIN operations_rundetails d ON d.run_id = r.id
WHERE NOT EXISTS (
    SELECT FROM operations_schedulerstate s
    WHERE s.organisation_id = o.id AND s.paused_at IS NOT NULL)
-- A team's window decides when its runs are handed out.
AND NOT EXISTS (SELECT FROM teams_team team JOIN tasks_task t ON t.pool_id = team.pool_id
    WHERE t.id = task.id)
AND (d.starvation_at IS NULL OR d.starvation_at <= %(before)s)
"""
COUNT = f"""
WITH due AS (
    SELECT d.run_id {STARVING} AND NOT d.starvation_count + 1 = ANY (%(handled)s::int[])
    LIMIT %(size)s FOR NO KEY UPDATE OF d SKIP LOCKED
)
UPDATE operations_rundetails d SET starvation_count = starvation_count + 1, starvation_at = %(at)s
FROM due WHERE d.run_id = due.run_id
"""
FIND = f"""
SELECT r.id, r.organisation_id {STARVING} AND d.starvation_count + 1 = ANY (%(handled)s::int[])
ORDER BY r.queued_at, r.id LIMIT %(size)s
"""

_postponed = Postponed()


def step_starved(*, at: datetime | None = None) -> int:
    """Take the next step of starved runs, of some of them at once. Return of how many; 0: of all.

    Runs whose tasks another transaction has locked are left to the next pass.
    """
    now = at or clock.now()
    with connection.cursor() as cursor:
        cursor.execute(COUNT, _parameters(now, COUNTED_AT_ONCE))
        counted = int(cursor.rowcount)
        cursor.execute(FIND, _parameters(now, HANDLED_AT_ONCE))
        found = [Row(*row) for row in cursor.fetchall()]
    return counted + handle_each(found, lambda run_id: _handle(run_id, now), postponed=_postponed)


def _parameters(at: datetime, size: int) -> dict[str, Any]:
    return {
        "waited": at - STARVED_AFTER,
        "before": at - AT_LEAST,
        "handled": [REPORT, ATTENTION],
        "size": size,
        "at": at,
    }


@atomic()
def _handle(run_id: UUID, at: datetime) -> bool:
    """Take a step that is more than a count. Return whether the run was still to be had."""
    task = Task.objects.locked_skip_locked().filter(runs__id=run_id).first()
    if task is None or not _is_claimable(task):
        return False
    run = Run.objects.select_for_update(no_key=True).get(id=run_id)
    details = RunDetails.objects.select_for_update(no_key=True).get(run_id=run_id)
    is_taken = details.starvation_at is not None and details.starvation_at > at - AT_LEAST
    if run.status != RunStatus.QUEUED or is_taken:
        return False
    run.task = task
    count = details.starvation_count + 1
    if count == REPORT:
        counted = {"starvation_count": count, "starvation_at": at}
        write([Update(RunDetails, {"run_id": run.id}, counted), _reported(run, at)])
        return True
    ended = {"starvation_count": 0, "starvation_at": None}
    tasks.shelve_run(
        task=task,
        run=run,
        error=f"No session claimed the run within {int(_age(run, at).total_seconds())} seconds.",
        also=[Update(RunDetails, {"run_id": run.id}, ended), _shelved(run, at)],
    )
    return True


def _is_claimable(task: Task) -> bool:
    """Return whether claims find the locked task, or would if its scheduler were not paused."""
    is_open = task.status == Status.CREATED and task.gate_count == 1 and not task.is_paused
    paused = SchedulerState.objects.filter(
        organisation_id=task.organisation_id, paused_at__isnull=False
    )
    return is_open and not paused.exists()


def _age(run: Run, at: datetime) -> timedelta:
    return at - run.queued_at


def _reported(run: Run, at: datetime) -> Change:
    age_ms = int(_age(run, at).total_seconds() * 1000)
    return _entry(run, LogType.RUN_STARVED, at, status="queued", queued_age_ms=age_ms)


def _shelved(run: Run, at: datetime) -> Change:
    facts = {"status": "needs_attention", "previous_status": "queued", "diagnostic": "starved"}
    return _entry(run, LogType.RUN_NEEDS_ATTENTION, at, **facts)


def _entry(run: Run, kind: LogType, at: datetime, **payload: Any) -> Change:
    actor = principal.system("starvation", run.organisation_id)
    return log_entry(
        run.task,
        kind,
        caller=daemon(actor, "scheduler"),
        origin=Origin("daemon", "scheduler"),
        at=at,
        run_id=run.id,
        task_status=task_status(run.task),
        queued_at=format_time(run.queued_at),
        **payload,
    )
