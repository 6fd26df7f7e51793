"""Say in which status of `/api` a task is: the only place that translates the kernel's.

A task that only claims hand out has one closed gate always; each further one blocks it.
"""

from typing import Literal

from apps.tasks.models import RunStatus, Task
from biolayer.lifecycle import Status

TaskStatus = Literal[
    "draft", "pending", "blocked", "ready", "in_progress", "completed", "failed", "canceled"
]

Scope = Literal["global", "workspace"]

_STATUS_OF: dict[Status, TaskStatus] = {
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
assert _STATUS_OF.keys() == set(Status)

WAITING = (Status.CREATED, Status.QUEUED, Status.MATCHED, Status.OFFERED, Status.ACCEPTED)


def is_blocked(task: Task) -> bool:
    """Return whether a dependency or an approval holds the task."""
    return task.gate_count > (1 if task.is_claim_only else 0)


def task_status(task: Task, run_status: str = "") -> TaskStatus:
    """Return the status of a task, whose open run has `run_status` (empty: it is not read).

    A run that is starting makes it `in_progress`, though the kernel has not started it. A failed
    task of this API whose attempts were raised since can be started again.
    """
    status = Status(task.status)
    if run_status == RunStatus.STARTING:
        return "in_progress"
    if not task.is_claim_only:
        return "blocked" if is_blocked(task) and status in WAITING else _STATUS_OF[status]
    if status is Status.FAILED and task.attempt < task.max_attempts:
        status = Status.CREATED
    if status in WAITING:
        return "blocked" if is_blocked(task) else "ready"
    return _STATUS_OF[status]


def scope_of(task: Task) -> Scope:
    """Return the scope of a task; one that names a pool has it as its workspace."""
    return "global" if task.pool_id is None else "workspace"
