"""Read the dashboard of `/api`: counts of tasks and runs, the queue, health and latencies.

All of it is one statement, so that the figures are of one moment and add up. Tasks and runs of
every API count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.queries import fill, load_template
from apps.base.together import Query, moment, read_together
from apps.operations.projection import STATUS_SQL, TaskStatus
from apps.operations.selectors.selection import (
    IDENTIFIER_SQL,
    Selection,
    TaskFilter,
    selection,
)
from apps.operations.selectors.sessions import is_lost_sql, session_sql
from apps.operations.selectors.system import DEAD_AFTER
from apps.tasks.models import RunStatus
from biolayer.lifecycle import Status

STUCK_BEFORE_START = timedelta(minutes=5)
STUCK_RUNNING = timedelta(minutes=30)
BACKLOG_AFTER = timedelta(minutes=10)
STALE_AFTER = timedelta(minutes=2)

ACTIVE = (RunStatus.QUEUED, RunStatus.CLAIMED, RunStatus.STARTING, RunStatus.RUNNING)

IS_STUCK = """(r.status IN ('claimed', 'starting') AND r.claimed_at <= %(claimed_before)s
OR r.status = 'running' AND r.started_at <= %(started_before)s)"""

# Where the status of /api depends on more than that of the kernel.
UNFINISHED = ", ".join(
    f"'{status.value}'" for status in Status if status not in (Status.COMPLETED, Status.CANCELLED)
)

SELECTED_RUNS = """tasks_run r JOIN tasks_task t ON t.id = r.task_id
LEFT JOIN operations_taskdetails d ON d.task_id = t.id
LEFT JOIN operations_rundetails x ON x.run_id = r.id
WHERE {tasks}{runs}"""
ALL_RUNS = """tasks_run r WHERE r.organisation_id = %(organisation_id)s AND NOT EXISTS (
SELECT FROM operations_taskdetails d WHERE d.task_id = r.task_id AND d.deleted_at IS NOT NULL
    AND d.organisation_id = %(organisation_id)s)"""
"""The same of all tasks, without a look at each."""

COLUMNS = {"tasks": 4, "runs": 8, "queue": 3, "health": 2, "active": 21, "events": 3}
FILES = {
    "tasks": "dashboard_tasks",
    "tasks_all": "dashboard_tasks_all",
    "runs": "dashboard_runs",
    "queue": "dashboard_queue",
    "health": "dashboard_health",
    "active": "dashboard_active",
    "events": "dashboard_events",
}
TEMPLATES = {name: load_template("apps.operations", file) for name, file in FILES.items()}


@dataclass(frozen=True, slots=True)
class ChannelDepth:
    """Count the queued runs of a channel; the channel is empty for runs without one."""

    channel: str
    count: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True)
class Latency:
    """Hold how long runs waited, in milliseconds."""

    samples: int
    average_ms: int
    maximum_ms: int


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """Hold an active run with what is shown of its task."""

    id: str
    status: str
    attempt: int
    error: str
    # When it was started, claimed or queued: the last of these that its status has.
    since: datetime
    last_activity_at: datetime
    is_stuck: bool
    channel: str
    session_id: str
    task_id: str
    identifier: str
    title: str
    task_status: TaskStatus
    urgency: str
    max_attempts: int
    pool_id: UUID | None
    owner_kind: str
    owner_ref: str
    latest_sequence: int


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Hold the figures of the selected tasks and their runs."""

    observed_at: datetime
    # By status; those without any are missing.
    tasks: Mapping[str, int]
    runs: Mapping[str, int]
    awaiting_approval: int
    dependency_blocked: int
    depth: Sequence[ChannelDepth]
    stuck_runs: int
    orphan_runs: int
    # The first four.
    active: Sequence[ActiveRun]
    forced_stops: int
    to_claim: Latency
    to_start: Latency
    # None: nothing ever happened.
    latest_activity_at: datetime | None

    @property
    def active_runs(self) -> int:
        return sum(self.runs.get(status, 0) for status in ACTIVE)

    @property
    def oldest_queued_at(self) -> datetime | None:
        return min((channel.oldest_at for channel in self.depth), default=None)

    @property
    def has_backlog(self) -> bool:
        oldest_at = self.oldest_queued_at
        return oldest_at is not None and self.observed_at - oldest_at >= BACKLOG_AFTER

    @property
    def is_healthy(self) -> bool:
        return not (self.stuck_runs or self.orphan_runs or self.has_backlog)

    @property
    def is_stale(self) -> bool:
        """Return whether there is live work, but nothing happened for two minutes."""
        latest_at = self.latest_activity_at
        is_old = latest_at is not None and self.observed_at - latest_at > STALE_AFTER
        return is_old and self.active_runs > 0


def dashboard(*, actor: Principal, asked: TaskFilter, at: datetime) -> Dashboard:
    """Return the figures of tasks that the actor may see.

    Raise `NotFound` (the workspace), `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.TASKS_READ)
    selected = selection(actor, asked)
    found = read_together(
        {name: Query(_filled(name, selected), columns) for name, columns in COLUMNS.items()},
        {
            **selected.values,
            "claimed_before": at - STUCK_BEFORE_START,
            "started_before": at - STUCK_RUNNING,
            "dead_after": DEAD_AFTER,
        },
    )
    tasks, runs = found["tasks"], found["runs"]
    ((stuck, orphans),) = found["health"]
    ((log_at, event_at, forced_stops),) = found["events"]
    # Whatever changes a task or a run is an event of one log, at the same time.
    times = [log_at, event_at]
    return Dashboard(
        observed_at=at,
        tasks={row[0]: row[1] for row in tasks},
        runs={row[0]: row[1] for row in runs},
        awaiting_approval=sum(row[2] for row in tasks),
        dependency_blocked=sum(row[3] for row in tasks),
        depth=[ChannelDepth(name, count, moment(oldest)) for name, count, oldest in found["queue"]],
        stuck_runs=stuck,
        orphan_runs=orphans,
        active=[_active(row) for row in found["active"]],
        forced_stops=forced_stops,
        to_claim=_latency([row[2:5] for row in runs]),
        to_start=_latency([row[5:8] for row in runs]),
        latest_activity_at=max((moment(text) for text in times if text), default=None),
    )


def _filled(name: str, selected: Selection) -> str:
    """Return a query of the dashboard with the parts that it names."""
    is_everything = selected.is_everything
    template = TEMPLATES["tasks_all" if name == "tasks" and is_everything else name]
    runs = SELECTED_RUNS.format(tasks=selected.tasks, runs=selected.runs)
    parts = {
        "selected_runs": ALL_RUNS if is_everything else runs,
        "unfinished": UNFINISHED,
        "tasks": selected.tasks,
        "runs": selected.runs,
        "status": STATUS_SQL,
        "is_stuck": IS_STUCK,
        "is_lost": is_lost_sql(),
        "session": session_sql(),
        "identifier": IDENTIFIER_SQL,
    }
    used = {part: sql for part, sql in parts.items() if f"{{{{ {part} }}}}" in template}
    return fill(template, **used)


def _latency(parts: Sequence[Sequence[Any]]) -> Latency:
    """Return the latency of all runs from their number, sum and maximum (in us) by status."""
    samples = sum(part[0] for part in parts)
    if not samples:
        return Latency(0, 0, 0)
    total = sum(part[1] or 0 for part in parts)
    longest = max(part[2] or 0 for part in parts)
    return Latency(samples, total // samples // 1000, longest // 1000)


def _active(row: Sequence[Any]) -> ActiveRun:
    (run_id, status, attempt, error, queued_at, claimed_at, started_at, latest, *more) = row
    is_stuck, channel, session_id, task_id, identifier, title, task_status, *rest = more
    urgency, max_attempts, pool_id, owner_kind, owner_ref, latest_sequence = rest
    since = {RunStatus.QUEUED: queued_at, RunStatus.RUNNING: started_at}.get(status, claimed_at)
    return ActiveRun(
        id=run_id,
        status=status,
        attempt=attempt,
        error=error,
        # A run that a previous version started may lack its time.
        since=moment(since or claimed_at or queued_at),
        last_activity_at=moment(latest),
        is_stuck=bool(is_stuck),
        channel=channel,
        session_id=session_id,
        task_id=task_id,
        identifier=identifier,
        title=title,
        task_status=task_status,
        urgency=urgency,
        max_attempts=max_attempts,
        pool_id=None if pool_id is None else UUID(pool_id),
        owner_kind=owner_kind,
        owner_ref=owner_ref,
        latest_sequence=latest_sequence,
    )
