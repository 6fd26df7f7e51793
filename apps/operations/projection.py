"""Say in which status of `/api` a task is: the only place that translates the kernel's.

A task that only claims hand out has one closed gate always; each further one blocks it.
"""

from typing import Literal

from django.db.models import Case, CharField, Exists, F, OuterRef, Q, Value, When

from apps.tasks.models import Run, RunStatus, Task
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


def task_status_in_sql() -> Case:
    """Return what `task_status` returns, as an expression on tasks: with their open runs."""
    starting = Exists(Run.objects.filter(task_id=OuterRef("id"), status=RunStatus.STARTING))
    again = Q(status=Status.FAILED, is_claim_only=True, attempt__lt=F("max_attempts"))
    waits = Q(status__in=WAITING) | again
    blocked = Q(is_claim_only=True, gate_count__gt=1) | Q(is_claim_only=False, gate_count__gt=0)
    return Case(
        When(starting, then=Value("in_progress")),
        When(waits & blocked, then=Value("blocked")),
        When(waits & Q(is_claim_only=True), then=Value("ready")),
        *(When(status=status, then=Value(shown)) for status, shown in _STATUS_OF.items()),
        output_field=CharField(),
    )


def kernel_statuses_of(shown: str) -> list[str]:
    """Return the statuses of the kernel that a task may have where `/api` shows this one."""
    found = [status.value for status, word in _STATUS_OF.items() if word == shown]
    match shown:
        case "ready" | "blocked":
            return [*map(str, WAITING), Status.FAILED.value]
        case "in_progress":
            return [*found, Status.CREATED.value, Status.ACCEPTED.value]
        case _:
            return found


def _named() -> str:
    """Return the SQL of `_STATUS_OF`."""
    cases = (f"WHEN '{status.value}' THEN '{name}'" for status, name in _STATUS_OF.items())
    return f"CASE t.status {' '.join(cases)} END"


_WAITING_SQL = ", ".join(f"'{status.value}'" for status in WAITING)

STATUS_SQL = f"""CASE WHEN r.status = '{RunStatus.STARTING.value}' THEN 'in_progress'
WHEN t.is_claim_only AND (t.status IN ({_WAITING_SQL})
    OR (t.status = '{Status.FAILED.value}' AND t.attempt < t.max_attempts))
THEN CASE WHEN t.gate_count > 1 THEN 'blocked' ELSE 'ready' END
WHEN NOT t.is_claim_only AND t.gate_count > 0 AND t.status IN ({_WAITING_SQL}) THEN 'blocked'
ELSE {_named()} END"""
"""`task_status` as SQL, of a task `t` and its open or newest run `r` (null without one)."""

GATED_SQL = f"""t.gate_count > 0 AND (t.gate_count > 1 OR NOT t.is_claim_only)
AND t.status IN ({_WAITING_SQL}, '{Status.FAILED.value}')"""
"""What every task `t` that is blocked fulfils; an index has the same condition."""


def scope_of(task: Task) -> Scope:
    """Return the scope of a task; one that names a pool has it as its workspace."""
    return "global" if task.pool_id is None else "workspace"
