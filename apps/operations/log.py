"""Describe entries of the log of `/api`, for the statement that changes what they tell."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from apps.base.rows import InsertValues, insert
from apps.operations.caller import Caller, Origin
from apps.operations.models import LogEntry
from apps.tasks.models import Task


class LogType(StrEnum):
    """Name what the log tells of tasks."""

    CREATED = "task.created"
    UPDATED = "task.updated"
    PUBLISHED = "task.published"
    APPROVED = "task.approved"
    REJECTED = "task.rejected"
    CANCELED = "task.canceled"
    CHILD_CREATED = "task.child_created"
    DEPENDENCY_ADDED = "task.dependency_added"
    DEPENDENCY_REMOVED = "task.dependency_removed"
    PAUSED = "task.paused"
    RESUMED = "task.resumed"
    RUN_ENQUEUED = "task.run_enqueued"
    RUN_CLAIMED = "task.run_claimed"
    RUN_STARTING = "task.run_starting"
    RUN_SESSION_BOUND = "task.run_session_bound"
    RUN_STARTED = "task.run_started"
    RUN_COMPLETED = "task.run_completed"
    RUN_FAILED = "task.run_failed"
    RUN_CANCELED = "task.run_canceled"
    RUN_FORCE_STOPPED = "task.run_force_stopped"
    RUN_RECOVERED = "task.run_recovered"
    RUN_REJECTED = "task.run_rejected"
    RUN_LEASE_EXTENDED = "task.run_lease_extended"
    RUN_LEASE_EXPIRED = "task.run_lease_expired"
    RUN_RELEASED = "task.run_released"
    RUN_OPERATOR_FORCED_FAIL = "task.run_operator_forced_fail"
    RUN_OPERATOR_RETRY = "task.run_operator_retry"
    RUN_RECOVERED_FROM_ATTENTION = "task.run_recovered_from_attention"
    RUN_STARVED = "task.run_starved"
    RUN_NEEDS_ATTENTION = "task.run_needs_attention"
    RUN_REVIEW_REQUESTED = "task.run_review_requested"
    RUN_REVIEW_BOUND = "task.run_review_bound"
    RUN_REVIEW_RECORDED = "task.run_review_recorded"
    RUN_REVIEW_APPROVED = "task.run_review_approved"
    RUN_REVIEW_REJECTED = "task.run_review_rejected"
    RUN_REVIEW_BLOCKED = "task.run_review_blocked"
    RUN_REVIEW_ERROR = "task.run_review_error"
    RUN_REVIEW_TIMEOUT = "task.run_review_timeout"
    RUN_REVIEW_INVALID_OUTPUT = "task.run_review_invalid_output"
    RUN_REVIEW_RETRY_ENQUEUED = "task.run_review_retry_enqueued"
    EXECUTION_PROFILE_UPDATED = "task.execution_profile_updated"
    EXECUTION_PROFILE_DELETED = "task.execution_profile_deleted"


def log_entry(
    task: Task,
    kind: LogType,
    /,
    *,
    caller: Caller,
    origin: Origin,
    at: datetime,
    run_id: UUID | None = None,
    **payload: Any,
) -> InsertValues:
    """Return the entry of one event of a task; its payload lacks what is None or empty."""
    return log_facts(task, kind, payload, caller=caller, origin=origin, at=at, run_id=run_id)


def log_facts(
    task: Task,
    kind: LogType,
    payload: Mapping[str, Any],
    /,
    *,
    caller: Caller,
    origin: Origin,
    at: datetime,
    run_id: UUID | None = None,
) -> InsertValues:
    """Return the entry of an event whose payload has names of `log_entry`'s parameters."""
    return insert(
        LogEntry,
        organisation_id=task.organisation_id,
        task_id=task.id,
        run_id=run_id,
        type=kind.value,
        actor_kind=caller.kind,
        actor_ref=caller.ref,
        origin_kind=origin.kind,
        origin_ref=origin.ref,
        payload=_known(payload),
        occurred_at=at,
    )


def _known(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if value is not None and value != ""}
