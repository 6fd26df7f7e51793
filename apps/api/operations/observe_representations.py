"""Represent the inbox, the triage of a task, and the dashboard."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from apps.api.operations import observe_responses as shapes
from apps.api.operations.errors import redacted
from apps.api.operations.projections import PRIORITY_OF
from apps.api.operations.representations import runs, task_reference
from apps.api.operations.responses import NO_TIME, RunActor, TaskOwner, TaskRun
from apps.operations.caller import Caller
from apps.operations.projection import TaskStatus
from apps.operations.selectors import ActiveRun, Dashboard, InboxItem, InboxLane, Latency, Triage
from apps.operations.selectors.dashboard import BACKLOG_AFTER, STALE_AFTER

BREAKDOWN: tuple[TaskStatus, ...] = (
    "completed",
    "pending",
    "in_progress",
    "ready",
    "blocked",
    "failed",
    "canceled",
    "draft",
)


def triage(caller: Caller, state: Triage) -> shapes.TriageShape:
    return shapes.TriageShape(
        task_id=state.task_id,
        actor=RunActor(kind=caller.kind, ref=caller.ref),
        read=state.is_read,
        dismissed=state.is_dismissed,
        archived=state.is_archived,
        updated_at=state.updated_at or NO_TIME,
        last_seen_activity_at=state.last_seen_at,
    )


def inbox(caller: Caller, lanes: Sequence[InboxLane]) -> shapes.Inbox:
    """Return the inbox with the totals of its lanes."""
    rows = [item.run for lane in lanes for item in lane.items if item.run is not None]
    shown = {row.id: run for row, run in zip(rows, runs(rows), strict=True)}
    groups = [
        shapes.InboxGroup(
            lane=lane.name,
            count=lane.count,
            unread_count=lane.unread,
            items=[
                _item(caller, lane, item, None if item.run is None else shown[item.run.id])
                for item in lane.items
            ],
        )
        for lane in lanes
    ]
    return shapes.Inbox(
        groups=groups,
        total=sum(lane.count for lane in lanes),
        unread_total=sum(lane.unread for lane in lanes),
        archived_total=sum(lane.count for lane in lanes if lane.name == "archived"),
    )


def _item(
    caller: Caller, lane: InboxLane, item: InboxItem, run: TaskRun | None
) -> shapes.InboxItemShape:
    details = item.view.details
    return shapes.InboxItemShape(
        task=task_reference(item.view),
        lane=lane.name,
        latest_activity_at=item.latest_activity_at,
        triage=triage(caller, item.triage),
        approval_policy="none" if details is None else details.approval_policy,
        approval_state="not_required" if details is None else details.approval_state,
        blocking_reason=item.blocking_reason,
        run=None if run is None else _run(run, item.view.task.max_attempts),
    )


def _run(whole: TaskRun, max_attempts: int) -> shapes.InboxRun:
    """Return what the inbox shows of a run."""
    shared = shapes.InboxRun.model_fields.keys() & TaskRun.model_fields.keys()
    values = {name: getattr(whole, name) for name in shared}
    return shapes.InboxRun(**values, max_attempts=max_attempts)


def dashboard(seen: Dashboard) -> shapes.DashboardShape:
    return shapes.DashboardShape(
        totals=_totals(seen),
        status_breakdown=_breakdown(seen),
        queue=_queue(seen),
        health=shapes.DashboardHealth(
            status=_health(seen.is_healthy),
            stuck_runs=seen.stuck_runs,
            active_orphan_runs=seen.orphan_runs,
            queue_backlog=seen.has_backlog,
        ),
        active_runs=shapes.ActiveRuns(
            total=seen.active_runs,
            queued=_runs(seen, "queued"),
            claimed=_runs(seen, "claimed"),
            starting=_runs(seen, "starting"),
            running=_runs(seen, "running"),
            items=[_active(run, seen.observed_at) for run in seen.active],
        ),
        cards=_cards(seen),
        freshness=_freshness(seen),
    )


def _totals(seen: Dashboard) -> shapes.DashboardTotals:
    tasks, runs = seen.tasks, seen.runs
    return shapes.DashboardTotals(
        tasks_total=sum(tasks.values()),
        **{f"{status}_tasks": tasks.get(status, 0) for status in BREAKDOWN},
        awaiting_approval_tasks=seen.awaiting_approval,
        dependency_blocked_tasks=seen.dependency_blocked,
        runs_total=sum(runs.values()),
        active_runs=seen.active_runs,
        queued_runs=_runs(seen, "queued"),
        claimed_runs=_runs(seen, "claimed"),
        starting_runs=_runs(seen, "starting"),
        running_runs=_runs(seen, "running"),
        completed_runs=_runs(seen, "completed"),
        failed_runs=_runs(seen, "failed"),
        canceled_runs=_runs(seen, "canceled"),
    )


def _breakdown(seen: Dashboard) -> list[shapes.StatusShare]:
    total = sum(seen.tasks.values())
    return [
        shapes.StatusShare(
            status=status, count=count, share_percent=(200 * count + total) // (2 * total)
        )
        for status in BREAKDOWN
        if (count := seen.tasks.get(status, 0))
    ]


def _queue(seen: Dashboard) -> shapes.DashboardQueue:
    at, oldest_at = seen.observed_at, seen.oldest_queued_at
    return shapes.DashboardQueue(
        total=_runs(seen, "queued"),
        oldest_queued_at=oldest_at or NO_TIME,
        oldest_queue_age_ms=_age(oldest_at, at),
        backlog_status=_health(not seen.has_backlog),
        backlog_threshold_ms=_ms(BACKLOG_AFTER),
        backlog_warning=seen.has_backlog,
        depth=[
            shapes.ChannelQueue(
                count=channel.count,
                oldest_queue_age_ms=_age(channel.oldest_at, at),
                oldest_queued_at=channel.oldest_at,
                network_channel=channel.channel,
            )
            for channel in seen.depth
        ],
    )


def _active(run: ActiveRun, at: datetime) -> shapes.ActiveRunItem:
    owner = TaskOwner(kind=run.owner_kind, ref=run.owner_ref) if run.owner_kind else None
    return shapes.ActiveRunItem(
        run_id=run.id,
        run_status=run.status,
        attempt=run.attempt,
        max_attempts=run.max_attempts,
        age_ms=_age(run.since, at),
        last_activity_at=run.last_activity_at,
        stuck=run.is_stuck,
        health_status=_health(not run.is_stuck),
        task_id=run.task_id,
        task_title=run.title,
        task_status=run.task_status,
        scope="global" if run.pool_id is None else "workspace",
        latest_event_seq=run.latest_sequence,
        error=redacted(run.error),
        network_channel=run.channel,
        session_id=run.session_id,
        task_identifier=run.identifier,
        task_owner=owner,
        task_priority=PRIORITY_OF[run.urgency],
        workspace_id="" if run.pool_id is None else str(run.pool_id),
    )


def _cards(seen: Dashboard) -> shapes.DashboardCards:
    blocked, failed = seen.tasks.get("blocked", 0), seen.tasks.get("failed", 0)
    failed_runs = _runs(seen, "failed")
    return shapes.DashboardCards(
        in_progress=shapes.InProgressCard(
            tasks=seen.tasks.get("in_progress", 0),
            active_runs=seen.active_runs,
            queued_runs=_runs(seen, "queued"),
            claimed_runs=_runs(seen, "claimed"),
            starting_runs=_runs(seen, "starting"),
            running_runs=_runs(seen, "running"),
            health_status=_health(seen.is_healthy),
        ),
        blocked=shapes.BlockedCard(
            tasks=blocked,
            awaiting_approval=seen.awaiting_approval,
            awaiting_dependencies=seen.dependency_blocked,
            health_status=_health(not blocked),
        ),
        failed=shapes.FailedCard(
            tasks=failed,
            failed_runs=failed_runs,
            forced_stops=seen.forced_stops,
            health_status=_health(not (failed or failed_runs or seen.forced_stops)),
        ),
        latency=shapes.LatencyCard(
            claim_latency_ms=_latency(seen.to_claim), start_latency_ms=_latency(seen.to_start)
        ),
    )


def _freshness(seen: Dashboard) -> shapes.DashboardFreshness:
    latest_at = seen.latest_activity_at
    if latest_at is None:
        status: shapes.Freshness = "empty"
    else:
        status = "stale" if seen.is_stale else "current"
    return shapes.DashboardFreshness(
        status=status,
        observed_at=seen.observed_at,
        latest_activity_at=latest_at or NO_TIME,
        age_ms=_age(latest_at, seen.observed_at),
        stale_after_ms=_ms(STALE_AFTER),
        stale=seen.is_stale,
        has_live_work=seen.active_runs > 0,
    )


def _latency(found: Latency) -> shapes.LatencyFigures:
    return shapes.LatencyFigures(
        samples=found.samples,
        average_ms=found.average_ms,
        maximum_ms=found.maximum_ms,
        p50_ms=found.p50_ms,
        p95_ms=found.p95_ms,
        p99_ms=found.p99_ms,
    )


def _runs(seen: Dashboard, status: str) -> int:
    return seen.runs.get(status, 0)


def _health(is_ok: bool) -> shapes.Health:  # noqa: FBT001 - a condition
    return "ok" if is_ok else "warn"


def _age(since: datetime | None, at: datetime) -> int:
    """Return how long ago it was, in milliseconds: 0 for a time to come, and for none."""
    return 0 if since is None else max(0, _ms(at - since))


def _ms(length: timedelta) -> int:
    return length // timedelta(milliseconds=1)
