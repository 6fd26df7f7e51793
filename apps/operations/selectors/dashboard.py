"""Read the dashboard of `/api`: counts of tasks and runs, the queue, health and latencies.

All of it is one statement, so that the figures are of one moment and add up. Tasks and runs of
every API count.

The figures of an organisation or a workspace are those of what is listed of its tasks
(docs/adr/0041). What is restricted to an owner, a channel or an origin is counted task by task.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.queries import fill, load_template
from apps.base.together import Query, moment, read_together
from apps.operations.buckets import percentile
from apps.operations.listed import BUCKET_SQL, Reach, is_readable, shared_sql
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

# Of all active runs, and of those that are listed.
ACTIVE_RUNS = """tasks_run r JOIN tasks_task t ON t.id = r.task_id
LEFT JOIN operations_taskdetails d ON d.task_id = t.id
LEFT JOIN operations_rundetails x ON x.run_id = r.id
WHERE NOT (r.status IN ('completed', 'failed', 'canceled')) AND r.status <> 'needs_attention'
    AND {tasks}{runs}"""
LISTED_RUNS = """tasks_run r WHERE r.id IN (
SELECT run_id FROM ({first}) one ORDER BY run_rank, run_latest_at DESC, run_id DESC LIMIT 4)"""

SCANNED = {
    "tasks": 4,
    "runs": 8,
    "buckets": 3,
    "queue": 3,
    "health": 2,
    "active": 21,
    "events": 2,
    "forced": 1,
}
"""The queries that read the selected tasks and runs, with their columns."""
FILES = {
    "tasks": "dashboard_tasks",
    "tasks_all": "dashboard_tasks_all",
    "runs": "dashboard_runs",
    "buckets": "dashboard_buckets",
    "queue": "dashboard_queue",
    "health": "dashboard_health",
    "active": "dashboard_active",
    "events": "dashboard_events",
    "forced": "dashboard_forced",
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
    """Hold how long runs waited, in milliseconds. The percentiles are at most 5 % off."""

    samples: int = 0
    average_ms: int = 0
    maximum_ms: int = 0
    p50_ms: int = 0
    p95_ms: int = 0
    p99_ms: int = 0


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
    if selected.reach is not None and is_readable():
        return _listed(selected, selected.reach, at)
    return _scanned(selected, at)


def _values(selected: Selection, at: datetime) -> dict[str, Any]:
    return {
        **selected.values,
        "at": at,
        "claimed_before": at - STUCK_BEFORE_START,
        "started_before": at - STUCK_RUNNING,
        "dead_after": DEAD_AFTER,
    }


def _scanned(selected: Selection, at: datetime) -> Dashboard:
    """Return the figures by reading all tasks and runs that are selected."""
    queries = {name: Query(_filled(name, selected), size) for name, size in SCANNED.items()}
    found = read_together(queries, _values(selected, at))
    tasks, runs = found["tasks"], found["runs"]
    ((stuck, orphans),) = found["health"]
    ((forced_stops,),) = found["forced"]
    # Whatever changes a task or a run is an event of one log, at the same time.
    times = found["events"][0]
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
        to_claim=_latency_of([row[2:5] for row in runs], _buckets(found["buckets"], "to_claim")),
        to_start=_latency_of([row[5:8] for row in runs], _buckets(found["buckets"], "to_start")),
        latest_activity_at=max((moment(text) for text in times if text), default=None),
    )


def _listed(selected: Selection, reach: Reach, at: datetime) -> Dashboard:
    """Return the same by what is listed of all tasks."""
    active = reach.first(
        "l.run_id, l.run_rank, l.run_latest_at",
        "l.run_rank IS NOT NULL",
        order="l.run_rank, l.run_latest_at DESC, l.run_id DESC",
        limit="4",
    )
    queries = {
        "figures": Query(reach.figures("part.figure <> 'mine' AND part.figure <> 'lane'"), 3),
        "queue": Query(_oldest(reach), 2),
        "stuck": Query(reach.number("l.stuck_at <= %(at)s"), 1),
        "active": Query(_filled("active", selected, LISTED_RUNS.format(first=active)), 21),
        "forced": Query(_filled("forced", selected), 1),
        "newest": Query(_most(reach, "active_at"), 1),
        "to_claim": Query(_most(reach, "longest_to_claim"), 1),
        "to_start": Query(_most(reach, "longest_to_start"), 1),
    }
    values = {**_values(selected, at), **reach.values}
    found = read_together(queries, values, shared=shared_sql())
    figures: dict[str, dict[str, int]] = defaultdict(dict)
    for figure, name, number in found["figures"]:
        figures[figure][name] = number
    oldest = {name: moment(text) for name, text in found["queue"] if text is not None}
    ((newest_at,),) = found["newest"]
    return Dashboard(
        observed_at=at,
        tasks=figures["task"],
        runs=figures["run"],
        awaiting_approval=figures["approval"].get("", 0),
        dependency_blocked=figures["dependency"].get("", 0),
        depth=[
            ChannelDepth(name, number, oldest[name])
            for name, number in sorted(figures["queue"].items())
            # A count that is wrong until the next recount has no run.
            if name in oldest and number > 0
        ],
        stuck_runs=found["stuck"][0][0],
        orphan_runs=figures["orphan"].get("", 0),
        active=[_active(row) for row in found["active"]],
        forced_stops=found["forced"][0][0],
        to_claim=_listed_latency(figures, "to_claim", found["to_claim"][0][0]),
        to_start=_listed_latency(figures, "to_start", found["to_start"][0][0]),
        latest_activity_at=None if newest_at is None else moment(newest_at),
    )


MOST = "SELECT max({{ column }}) FROM ({{ values }}) one"
OLDEST = """SELECT known.name, (SELECT min(queued_at) FROM ({{ first }}) one) FROM (
SELECT c.name FROM operations_listedcount c WHERE {{ counts }} AND c.figure = 'queue'
UNION SELECT l.channel FROM fresh l WHERE {{ rows }} AND l.queued_at IS NOT NULL) known"""


def _most(reach: Reach, column: str) -> str:
    """Return the query of the greatest value of a column that an index has, or null."""
    values = reach.first(f"l.{column}", f"l.{column} IS NOT NULL", order=f"l.{column} DESC")
    return fill(MOST, column=column, values=values)


def _oldest(reach: Reach) -> str:
    """Return the query of the time since when the first run of each channel has been queued."""
    first = reach.first(
        "l.queued_at",
        "l.queued_at IS NOT NULL AND l.channel = known.name",
        order="l.queued_at",
    )
    return fill(OLDEST, first=first, counts=reach.counts, rows=reach.rows)


def _filled(name: str, selected: Selection, chosen_runs: str = "") -> str:
    """Return a query of the dashboard with the parts that it names."""
    is_everything = selected.is_everything
    template = TEMPLATES["tasks_all" if name == "tasks" and is_everything else name]
    of = {"tasks": selected.tasks, "runs": selected.runs}
    parts = {
        "selected_runs": ALL_RUNS if is_everything else SELECTED_RUNS.format(**of),
        "chosen_runs": chosen_runs or ACTIVE_RUNS.format(**of),
        "unfinished": UNFINISHED,
        **of,
        "status": STATUS_SQL,
        "bucket": BUCKET_SQL,
        "is_stuck": IS_STUCK,
        "is_lost": is_lost_sql(),
        "session": session_sql(),
        "identifier": IDENTIFIER_SQL,
    }
    used = {part: sql for part, sql in parts.items() if f"{{{{ {part} }}}}" in template}
    return fill(template, **used)


def _latency_of(parts: Sequence[Sequence[Any]], buckets: Mapping[int, int]) -> Latency:
    """Return the latency of all runs from their number, sum and maximum (in us) by status."""
    total = sum(part[1] or 0 for part in parts)
    return _latency(buckets, total, max((part[2] or 0 for part in parts), default=0))


def _listed_latency(
    figures: Mapping[str, Mapping[str, int]], name: str, longest: int | None
) -> Latency:
    buckets = {int(bucket): number for bucket, number in figures[name].items()}
    return _latency(buckets, figures[f"{name}_us"].get("", 0), longest or 0)


def _buckets(rows: Sequence[Sequence[Any]], measure: str) -> dict[int, int]:
    return {bucket: number for name, bucket, number in rows if name == measure}


def _latency(buckets: Mapping[int, int], total: int, longest: int) -> Latency:
    """Return a latency by its histogram, with the sum and the maximum in microseconds.

    A percentile is not more than the maximum, though the middle of its bucket may be.
    """
    samples = sum(buckets.values())
    if samples <= 0:
        return Latency()
    shares = [
        min(round(percentile(buckets, share) * 1000), longest // 1000)
        for share in (0.50, 0.95, 0.99)
    ]
    return Latency(samples, total // samples // 1000, longest // 1000, *shares)


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
