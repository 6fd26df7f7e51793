"""Change the mutable fields of a task of `/api`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.accounts.scopes import Scope
from apps.base.rows import Change
from apps.base.transactions import atomic
from apps.operations.caller import Caller, origin_of
from apps.operations.log import LogType, log_entry
from apps.operations.models import (
    ApprovalPolicy,
    ApprovalState,
    ExecutionProfile,
)
from apps.operations.projection import task_status
from apps.operations.requirements import claim_requirement
from apps.operations.services.locks import LockedTask, details_of, lock_task, open_run
from apps.tasks import services as tasks
from biolayer.errors import Fault, InvalidInput
from biolayer.lifecycle import CLOSED, Status

OF_KERNEL: Mapping[str, tuple[str, str]] = {
    "title": ("title", "/title"),
    "description": ("instructions", "/instructions"),
    "urgency": ("urgency", "/sla/urgency"),
    "max_attempts": ("max_attempts", "/max_attempts"),
}
"""Field -> column of the kernel, and where the event of the kernel names it."""

OF_DETAILS = ("auto_enqueue_on_ready", "network_channel", "metadata", "owner_kind", "owner_ref")


@dataclass(frozen=True, slots=True)
class TaskChanges:
    """Hold the new values by field: those of `OF_KERNEL`, `OF_DETAILS`, and `approval_policy`."""

    values: Mapping[str, Any]


@atomic()
def update_task(*, caller: Caller, task_id: str, changes: TaskChanges, at: datetime) -> LockedTask:
    """Change a task in any status. What is the same already changes nothing, and logs nothing.

    Another approval policy resets the approval. Raise `InvalidInput`, `NotFound`,
    `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`.
    """
    locked = lock_task(caller, task_id, scope=Scope.TASKS_CREATE)
    task, details = locked.task, locked.details
    columns = {
        column: changes.values[name]
        for name, (column, _) in OF_KERNEL.items()
        if name in changes.values and changes.values[name] != getattr(task, column)
    }
    _require_attempts(locked, columns)
    known = {
        name: changes.values[name]
        for name in OF_DETAILS
        if name in changes.values and changes.values[name] != getattr(details, name)
    }
    policy = changes.values.get("approval_policy", details.approval_policy)
    gates = 0
    if policy != details.approval_policy:
        is_manual = policy == ApprovalPolicy.MANUAL
        gates = int(is_manual) - int(details.awaits_approval)
        known["approval_policy"] = policy
        known["approval_state"] = ApprovalState.PENDING if is_manual else ApprovalState.NOT_REQUIRED
    if not columns and not known:
        return locked
    for name, value in known.items():
        setattr(details, name, value)
    details.updated_at = at
    details.save(update_fields=[*known, "updated_at"])
    task.gate_count += gates
    entry = log_entry(
        task,
        LogType.UPDATED,
        caller=caller,
        origin=origin_of("update"),
        at=at,
        task_status=task_status(task),
        changed_fields=sorted(_shown_names(columns, known)),
    )
    _write(caller, locked, columns, also=[*claim_words(locked), entry], at=at)
    return locked


def _shown_names(columns: Mapping[str, Any], known: Mapping[str, Any]) -> set[str]:
    """Return the changed fields as the API names them."""
    shown = {"urgency": "priority", "instructions": "description"}
    shown |= {"owner_kind": "owner", "owner_ref": "owner"}
    return {shown.get(name, name) for name in (*columns, *known)}


def claim_words(locked: LockedTask) -> list[Change]:
    """Return the task's requirement, as its queued run, owner and profile are now.

    What the run requires and prefers was copied when it was queued; what the profile requires now
    counts, too. While an output waits for its verdict, it is that of the run that may follow, which
    the kernel queues with the profile's capabilities.
    """
    run = open_run(locked.task)
    if run is None and locked.task.status not in (Status.SUBMITTED, Status.VERIFIED):
        return []
    profile = ExecutionProfile.objects.filter(task_id=locked.task.id).first()
    required = [] if profile is None else list(profile.required_capabilities)
    preferred = [] if profile is None else list(profile.preferred_capabilities)
    if run is not None:
        details = details_of(run)
        required = [*details.required_capabilities, *required]
        preferred = details.preferred_capabilities
    requirement = claim_requirement(
        locked.task, locked.details, profile, required=required, preferred=preferred
    )
    return tasks.requirement_of(task=locked.task, requirement=requirement)


def _write(
    caller: Caller,
    locked: LockedTask,
    columns: Mapping[str, Any],
    *,
    also: list[Change],
    at: datetime,
) -> None:
    """Write the columns of the kernel: with an event of its own, where its table has one."""
    task = locked.task
    values = {**columns, "gate_count": task.gate_count}
    if not columns or task.status in CLOSED or task.status == Status.DRAFT:
        tasks.change_columns(task, values, also=also)
        return
    places = dict(OF_KERNEL.values())
    tasks.change_task(
        task=task,
        actor=caller.principal,
        at=at,
        data={"changes": {places[name]: value for name, value in columns.items()}},
        columns=values,
        reason="",
        also=also,
    )


def _require_attempts(locked: LockedTask, columns: Mapping[str, Any]) -> None:
    """Raise `InvalidInput` where fewer attempts are allowed than were made."""
    if columns.get("max_attempts", locked.task.attempt) < locked.task.attempt:
        text = f"must not be lower than the {locked.task.attempt} attempts that were made"
        raise InvalidInput([Fault("/max_attempts", "invalid", text)])
