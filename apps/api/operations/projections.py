"""Show tasks and runs in the words of this API: priorities, statuses, scopes.

The kernel's words are in biolayer/lifecycle.py; this is the only place that translates them.
"""

from collections.abc import Mapping
from typing import Literal, get_args
from uuid import UUID

from biolayer.lifecycle import Status

Priority = Literal["low", "medium", "high", "urgent"]
Scope = Literal["global", "workspace"]
TaskStatus = Literal[
    "draft", "pending", "blocked", "ready", "in_progress", "completed", "failed", "canceled"
]
RunStatus = Literal[
    "queued",
    "claimed",
    "starting",
    "running",
    "completed",
    "failed",
    "canceled",
    "needs_attention",
]
ActorKind = Literal["human", "agent_session", "automation", "extension", "network_peer", "daemon"]
OwnerKind = Literal["human", "agent_session", "automation", "extension", "network_peer", "pool"]
OriginKind = Literal[
    "cli",
    "web",
    "uds",
    "http",
    "automation",
    "extension",
    "network",
    "agent_session",
    "daemon",
]
MessageKind = Literal[
    "status", "request", "reply", "blocker", "handoff", "result", "review_request"
]
MESSAGE_KINDS: tuple[MessageKind, ...] = get_args(MessageKind)

PRIORITY_OF: Mapping[str, Priority] = {
    "low": "low",
    "normal": "medium",
    "high": "high",
    "critical": "urgent",
}
URGENCY_OF: Mapping[str, str] = {priority: urgency for urgency, priority in PRIORITY_OF.items()}

_STATUS_OF: Mapping[Status, TaskStatus] = {
    Status.DRAFT: "draft",
    Status.CREATED: "pending",
    Status.QUEUED: "ready",
    Status.MATCHED: "ready",
    Status.OFFERED: "ready",
    Status.ACCEPTED: "ready",
    Status.STARTED: "in_progress",
    Status.SUBMITTED: "in_progress",
    Status.VERIFIED: "in_progress",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "canceled",
}
_WAITING = (Status.CREATED, Status.QUEUED, Status.MATCHED, Status.OFFERED, Status.ACCEPTED)

assert _STATUS_OF.keys() == set(Status)


def task_status(status: str, *, is_gated: bool) -> TaskStatus:
    """Return the status of a task; a closed gate blocks it until it is started."""
    known = Status(status)
    return "blocked" if is_gated and known in _WAITING else _STATUS_OF[known]


def scope_of(pool_id: UUID | None) -> Scope:
    """Return the scope of a task that names this pool, its workspace."""
    return "global" if pool_id is None else "workspace"
