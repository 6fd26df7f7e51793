"""Define the bodies that this API returns.

A field with a default is left out where it has that value; the others are always there.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer

from apps.api.operations.projections import (
    ActorKind,
    ApprovalPolicy,
    ApprovalState,
    MessageKind,
    OriginKind,
    OwnerKind,
    Priority,
    RunStatus,
)
from apps.operations.projection import Scope, TaskStatus
from biolayer.times import format_time
from biolayer.values import Timestamp

NO_TIME = datetime(1, 1, 1, tzinfo=UTC)
"""What a time that must be there has where there is none."""


def _time(moment: datetime) -> str:
    # Programs compare this one as a text.
    return "0001-01-01T00:00:00Z" if moment == NO_TIME else format_time(moment)


RequiredTime = Annotated[Timestamp, PlainSerializer(_time, return_type=str, when_used="json")]
"""A time that is `NO_TIME` where there is none."""


class Shape(BaseModel):
    """A part of a response."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def on_the_wire(self) -> dict[str, Any]:
        """Return the body as JSON values, without empty ones that may be left out."""
        return self.model_dump(mode="json", exclude_defaults=True)


class RunActor(Shape):
    kind: ActorKind
    ref: str


class TaskOwner(Shape):
    kind: OwnerKind
    ref: str


class RunOrigin(Shape):
    kind: OriginKind
    ref: str


class CoordinationChannel(Shape):
    id: str
    display_name: str
    allowed_message_kinds: list[MessageKind]
    channel: str = ""
    purpose: str = ""
    last_activity_at: Timestamp | None = None
    run_id: str = ""
    task_id: str = ""
    workflow_id: str = ""
    workspace_id: str = ""


class RunLease(Shape):
    run_id: str
    task_id: str
    status: RunStatus
    claim_token_hash: str = ""
    claimed_by: RunActor | None = None
    coordination_channel: CoordinationChannel | None = None
    coordination_channel_id: str = ""
    heartbeat_at: Timestamp | None = None
    lease_until: Timestamp | None = None
    session_id: str = ""


class TaskRun(Shape):
    id: str
    task_id: str
    status: RunStatus
    attempt: int
    origin: RunOrigin
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
    idempotency_key: str = ""
    lease_until: Timestamp | None = None
    metadata: Any = None
    network_channel: str = ""
    previous_run_id: str = ""
    result: Any = None
    session_id: str = ""
    started_at: Timestamp | None = None


class TaskReference(Shape):
    id: str
    title: str
    scope: Scope
    status: TaskStatus
    latest_event_seq: int
    effective_paused: bool = False
    identifier: str = ""
    owner: TaskOwner | None = None
    paused: bool = False
    paused_by_task_id: str = ""
    priority: Priority | None = None
    workspace_id: str = ""


class OperatorTask(Shape):
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
    current_run_id: str = ""
    description: str = ""
    draft: bool = False
    effective_paused: bool = False
    identifier: str = ""
    max_attempts: int = 0
    metadata: Any = None
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


class TaskAnswer(Shape):
    task: OperatorTask


class RunAnswer(Shape):
    run: TaskRun


class TaskRunAnswer(Shape):
    task: OperatorTask
    run: TaskRun


class RunClaim(Shape):
    task: TaskReference
    run: TaskRun
    lease: RunLease
    coordination_channel: CoordinationChannel | None = None


class ClaimAnswer(Shape):
    claim: RunClaim


class LeaseAnswer(Shape):
    lease: RunLease


class Diagnostic(Shape):
    id: str
    code: str
    category: str
    severity: str
    data_freshness: str
    title: str
    message: str
    evidence: dict[str, Any] = {}
    doc_url: str = ""
    suggested_command: str = ""


class ErrorBody(Shape):
    error: str
    diagnostic: Diagnostic | None = None
