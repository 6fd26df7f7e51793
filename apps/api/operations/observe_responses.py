"""Define what `/api/observe/tasks` and the triage of a task return."""

from typing import Literal

from apps.api.operations.projections import ApprovalPolicy, ApprovalState, Priority, RunStatus
from apps.api.operations.responses import (
    RequiredTime,
    RunActor,
    Shape,
    TaskOwner,
    TaskReference,
)
from apps.operations.projection import Scope, TaskStatus
from apps.operations.selectors.inbox import BlockingReason, Lane
from biolayer.values import Timestamp

Health = Literal["ok", "warn"]
Freshness = Literal["current", "stale", "empty"]


class TriageShape(Shape):
    task_id: str
    actor: RunActor
    read: bool
    dismissed: bool
    archived: bool
    updated_at: RequiredTime
    last_seen_activity_at: Timestamp | None = None


class TriageAnswer(Shape):
    triage: TriageShape


class InboxRun(Shape):
    id: str
    task_id: str
    status: RunStatus
    attempt: int
    max_attempts: int
    queued_at: Timestamp
    claim_token_hash: str = ""
    claimed_at: Timestamp | None = None
    claimed_by: RunActor | None = None
    coordination_channel_id: str = ""
    ended_at: Timestamp | None = None
    error: str = ""
    failure_kind: str = ""
    heartbeat_at: Timestamp | None = None
    lease_until: Timestamp | None = None
    previous_run_id: str = ""
    session_id: str = ""
    started_at: Timestamp | None = None


class InboxItemShape(Shape):
    task: TaskReference
    lane: Lane
    latest_activity_at: Timestamp
    triage: TriageShape
    approval_policy: ApprovalPolicy | None = None
    approval_state: ApprovalState | None = None
    blocking_reason: BlockingReason | None = None
    run: InboxRun | None = None


class InboxGroup(Shape):
    lane: Lane
    count: int
    unread_count: int
    items: list[InboxItemShape] = []


class Inbox(Shape):
    groups: list[InboxGroup]
    total: int
    unread_total: int
    archived_total: int


class InboxAnswer(Shape):
    inbox: Inbox


class DashboardTotals(Shape):
    tasks_total: int
    draft_tasks: int
    pending_tasks: int
    blocked_tasks: int
    ready_tasks: int
    in_progress_tasks: int
    completed_tasks: int
    failed_tasks: int
    canceled_tasks: int
    awaiting_approval_tasks: int
    dependency_blocked_tasks: int
    runs_total: int
    active_runs: int
    queued_runs: int
    claimed_runs: int
    starting_runs: int
    running_runs: int
    completed_runs: int
    failed_runs: int
    canceled_runs: int


class StatusShare(Shape):
    status: TaskStatus
    count: int
    share_percent: int


class ChannelQueue(Shape):
    count: int
    oldest_queue_age_ms: int
    oldest_queued_at: Timestamp
    network_channel: str = ""


class DashboardQueue(Shape):
    total: int
    oldest_queued_at: RequiredTime
    oldest_queue_age_ms: int
    backlog_status: Health
    backlog_threshold_ms: int
    backlog_warning: bool
    depth: list[ChannelQueue] = []


class DashboardHealth(Shape):
    status: Health
    stuck_runs: int
    active_orphan_runs: int
    queue_backlog: bool


class ActiveRunItem(Shape):
    run_id: str
    run_status: RunStatus
    attempt: int
    max_attempts: int
    age_ms: int
    last_activity_at: Timestamp
    stuck: bool
    health_status: Health
    task_id: str
    task_title: str
    task_status: TaskStatus
    scope: Scope
    latest_event_seq: int
    error: str = ""
    network_channel: str = ""
    session_id: str = ""
    task_identifier: str = ""
    task_owner: TaskOwner | None = None
    task_priority: Priority | None = None
    workspace_id: str = ""


class ActiveRuns(Shape):
    total: int
    queued: int
    claimed: int
    starting: int
    running: int
    items: list[ActiveRunItem] = []


class InProgressCard(Shape):
    tasks: int
    active_runs: int
    queued_runs: int
    claimed_runs: int
    starting_runs: int
    running_runs: int
    health_status: Health


class BlockedCard(Shape):
    tasks: int
    awaiting_approval: int
    awaiting_dependencies: int
    health_status: Health


class FailedCard(Shape):
    tasks: int
    failed_runs: int
    forced_stops: int
    health_status: Health


class LatencyFigures(Shape):
    samples: int
    average_ms: int
    maximum_ms: int
    p50_ms: int
    p95_ms: int
    p99_ms: int


class LatencyCard(Shape):
    claim_latency_ms: LatencyFigures
    start_latency_ms: LatencyFigures


class DashboardCards(Shape):
    in_progress: InProgressCard
    blocked: BlockedCard
    failed: FailedCard
    latency: LatencyCard


class DashboardFreshness(Shape):
    status: Freshness
    observed_at: Timestamp
    latest_activity_at: RequiredTime
    age_ms: int
    stale_after_ms: int
    stale: bool
    has_live_work: bool


class DashboardShape(Shape):
    totals: DashboardTotals
    queue: DashboardQueue
    health: DashboardHealth
    active_runs: ActiveRuns
    cards: DashboardCards
    freshness: DashboardFreshness
    status_breakdown: list[StatusShare] = []


class DashboardAnswer(Shape):
    dashboard: DashboardShape
