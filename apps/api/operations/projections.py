"""Name the values of this API, and translate priorities.

apps/operations/projection.py translates statuses.
"""

from collections.abc import Mapping
from typing import Literal, get_args

Priority = Literal["low", "medium", "high", "urgent"]
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
ApprovalPolicy = Literal["none", "manual"]
ApprovalState = Literal["not_required", "pending", "approved", "rejected"]
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
