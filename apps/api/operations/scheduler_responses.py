"""Define the bodies that calls on the scheduler return."""

from apps.api.operations.projections import ApprovalPolicy, ApprovalState, Priority
from apps.api.operations.responses import (
    RunActor,
    RunOrigin,
    Shape,
    TaskOwner,
    TaskRun,
)
from apps.operations.projection import Scope, TaskStatus
from biolayer.values import Timestamp


class SchedulerShape(Shape):
    paused: bool
    active_claim_count: int
    queued_run_count: int
    paused_task_count: int
    starved_run_count: int
    needs_attention_run_count: int
    as_of: Timestamp
    paused_at: Timestamp | None = None
    paused_by: str = ""
    paused_reason: str = ""


class SchedulerAnswer(Shape):
    scheduler: SchedulerShape


class DrainAnswer(Shape):
    completed: bool
    remaining_claims: int
    started_at: Timestamp
    completed_at: Timestamp
    scheduler: SchedulerShape
    timed_out: bool = False


class BacklogTask(Shape):
    id: str
    title: str
    scope: Scope
    status: TaskStatus
    created_by: RunActor
    origin: RunOrigin
    created_at: Timestamp
    updated_at: Timestamp
    latest_event_seq: int
    approval_policy: ApprovalPolicy | None = None
    approval_state: ApprovalState | None = None
    auto_enqueue_on_ready: bool = False
    closed_at: Timestamp | None = None
    draft: bool = False
    effective_paused: bool = False
    identifier: str = ""
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


class BacklogItem(Shape):
    run: TaskRun
    task: BacklogTask


class BacklogShape(Shape):
    runs: list[BacklogItem]
    total: int


class BacklogAnswer(Shape):
    backlog: BacklogShape
