"""Define the bodies that reads of tasks return."""

from typing import Any, Literal

from apps.api.operations.projections import ApprovalPolicy, ApprovalState, Priority, RunStatus
from apps.api.operations.responses import (
    CoordinationChannel,
    Diagnostic,
    OperatorTask,
    RunActor,
    RunOrigin,
    Shape,
    TaskOwner,
    TaskReference,
    TaskRun,
)
from apps.operations.projection import Scope, TaskStatus
from biolayer.values import Timestamp

Target = Literal["task", "run"]
Outcome = Literal["info", "success", "failure", "warning"]
NextAction = Literal[
    "claim_available",
    "waiting_for_session",
    "stranded",
    "running",
    "recovery_required",
    "terminal",
]


class RunSummary(Shape):
    id: str
    task_id: str
    status: RunStatus
    attempt: int
    max_attempts: int
    queued_at: Timestamp
    claim_token_hash: str = ""
    claimed_at: Timestamp | None = None
    claimed_by: RunActor | None = None
    coordination_channel: CoordinationChannel | None = None
    coordination_channel_id: str = ""
    ended_at: Timestamp | None = None
    error: str = ""
    failure_kind: str = ""
    heartbeat_at: Timestamp | None = None
    lease_until: Timestamp | None = None
    previous_run_id: str = ""
    session_id: str = ""
    started_at: Timestamp | None = None


class TaskDependencyEdge(Shape):
    task_id: str
    depends_on_task_id: str
    kind: Literal["blocks"]
    created_at: Timestamp


class TaskDependencyReference(Shape):
    task_id: str
    depends_on_task_id: str
    kind: Literal["blocks"]
    created_at: Timestamp
    depends_on: TaskReference


class TaskSummary(Shape):
    id: str
    title: str
    scope: Scope
    status: TaskStatus
    created_by: RunActor
    origin: RunOrigin
    created_at: Timestamp
    updated_at: Timestamp
    latest_event_seq: int
    active_run: RunSummary | None = None
    approval_policy: ApprovalPolicy | None = None
    approval_state: ApprovalState | None = None
    auto_enqueue_on_ready: bool = False
    child_count: int = 0
    closed_at: Timestamp | None = None
    current_run_id: str = ""
    dependencies: list[TaskDependencyReference] = []
    dependency_count: int = 0
    draft: bool = False
    effective_paused: bool = False
    identifier: str = ""
    last_activity_at: Timestamp | None = None
    max_attempts: int = 0
    network_channel: str = ""
    owner: TaskOwner | None = None
    parent_task_id: str = ""
    paused: bool = False
    paused_at: Timestamp | None = None
    paused_by: str = ""
    paused_by_task_id: str = ""
    paused_reason: str = ""
    priority: Priority | None = None
    workspace_id: str = ""


class TaskList(Shape):
    tasks: list[TaskSummary]


class TaskEvent(Shape):
    id: str
    task_id: str
    event_type: str
    actor: RunActor
    origin: RunOrigin
    timestamp: Timestamp
    payload: Any = None
    run_id: str = ""


class TaskView(Shape):
    task: OperatorTask
    summary: TaskSummary
    children: list[TaskSummary] = []
    dependencies: list[TaskDependencyEdge] = []
    dependency_references: list[TaskDependencyReference] = []
    events: list[TaskEvent] = []
    runs: list[TaskRun] = []


class TaskViewAnswer(Shape):
    task: TaskView


class TaskTreeNode(Shape):
    task: TaskReference
    depth: int
    last_activity_at: Timestamp
    active_run: RunSummary | None = None
    child_count: int = 0
    parent_task_id: str = ""


class TaskTreeView(Shape):
    root: TaskTreeNode
    descendants: list[TaskTreeNode] = []


class TaskTreeAnswer(Shape):
    tree: TaskTreeView


class RunList(Shape):
    runs: list[TaskRun]


class RunSession(Shape):
    session_id: str
    created_at: Timestamp
    updated_at: Timestamp
    agent_name: str = ""
    channel: str = ""
    name: str = ""
    state: str = ""
    workspace_id: str = ""


class RunUsage(Shape):
    last_activity_at: Timestamp
    last_event_type: str = ""


class RunDetail(Shape):
    run: TaskRun
    summary: RunUsage
    task: TaskReference
    session: RunSession | None = None


class RunDetailAnswer(Shape):
    run: RunDetail


class TimelineItem(Shape):
    sequence: int
    event_id: str
    event_type: str
    task: TaskReference
    actor: RunActor
    origin: RunOrigin
    timestamp: Timestamp
    payload: Any = None
    run: RunSummary | None = None


class Timeline(Shape):
    timeline: list[TimelineItem]


class StreamedEvent(Shape):
    sequence: int
    type: str
    timeline: TimelineItem


class InspectedRun(Shape):
    run_id: str
    task_id: str
    status: RunStatus
    attempt: int
    queued_at: Timestamp
    bound_session_id: str = ""
    claim_token_hash_truncated: str = ""
    ended_at: Timestamp | None = None
    failure_kind: str = ""
    heartbeat_age_seconds: int = 0
    heartbeat_at: Timestamp | None = None
    last_error_summary: str = ""
    lease_until: Timestamp | None = None
    previous_run_id: str = ""
    retries: int = 0
    started_at: Timestamp | None = None


class InspectedSession(Shape):
    session_id: str
    agent_name: str = ""
    last_activity_at: Timestamp | None = None
    started_at: Timestamp | None = None
    state: str = ""
    workspace_id: str = ""


class InspectedEvent(Shape):
    id: str
    type: str
    timestamp: Timestamp
    outcome: Outcome | None = None
    run_id: str = ""
    session_id: str = ""
    summary: str = ""
    task_id: str = ""


class InspectedScheduler(Shape):
    paused: bool
    paused_at: Timestamp | None = None
    paused_by: str = ""
    reason: str = ""
    updated_at: Timestamp | None = None


class Inspection(Shape):
    target: Target
    as_of: Timestamp
    task: TaskSummary
    scheduler: InspectedScheduler
    next_action: NextAction
    bound_session: InspectedSession | None = None
    current_run: InspectedRun | None = None
    diagnostics: list[Diagnostic] = []
    recent_events: list[InspectedEvent] = []
    recent_runs: list[InspectedRun] = []


class InspectAnswer(Shape):
    inspect: Inspection
