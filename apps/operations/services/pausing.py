"""Pause and resume tasks of `/api` with all tasks below them.

Each task has its own pause; `Task.is_paused` says whether it or one above it is paused, so that a
claim reads one column. A pause locks the subtree, the oldest first, and writes that column again.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.scopes import Scope
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.operations.caller import Caller, origin_of
from apps.operations.log import LogType, log_entry
from apps.operations.projection import task_status
from apps.operations.selectors.find import visible_task_id
from apps.operations.services.force_limit import count_forced
from apps.operations.services.locks import LockedTask, lock_task
from apps.tasks import services as tasks
from apps.tasks.models import Task
from biolayer.errors import AlreadyTerminal, ReasonRequired

SUBTREE = """
WITH RECURSIVE below AS (
    SELECT %s::uuid AS id
    UNION ALL
    SELECT d.task_id FROM below JOIN operations_taskdetails d ON d.parent_id = below.id
)
SELECT id FROM below
"""

# Whether a task, or one above it, is paused. The root's own ancestors are read from its parent.
EFFECTIVE = """
WITH RECURSIVE below AS (
    SELECT d.task_id AS id,
        d.paused_at IS NOT NULL OR coalesce(above.is_paused, false) AS is_paused
    FROM operations_taskdetails d LEFT JOIN tasks_task above ON above.id = d.parent_id
    WHERE d.task_id = %s
    UNION ALL
    SELECT d.task_id, below.is_paused OR d.paused_at IS NOT NULL
    FROM below JOIN operations_taskdetails d ON d.parent_id = below.id
)
SELECT id, is_paused FROM below
"""


def pause_task(
    *, caller: Caller, task_id: str, reason: str, metadata: Any, at: datetime
) -> LockedTask:
    """Pause a task: neither it nor a task below it is handed out. What is held goes on.

    Raise `AlreadyTerminal`, `ForceRateLimited`, `NotFound`, `NotOfThisApi`, `ReasonRequired`,
    `RoleTooLow`, `ScopeMissing`.
    """
    caller.principal.require(Scope.TASKS_MANAGE)
    if not reason:
        raise ReasonRequired
    _count(caller, task_id, at)
    return _pause(caller, task_id, reason, metadata, at)


def _count(caller: Caller, task_id: str, at: datetime) -> None:
    """Count a call of a session with those that force operations. Raise `ForceRateLimited`."""
    if caller.is_agent:
        count_forced(caller=caller, task_id=visible_task_id(caller, task_id), at=at)


@atomic()
def _pause(caller: Caller, task_id: str, reason: str, metadata: Any, at: datetime) -> LockedTask:
    locked = lock_task(caller, task_id, scope=Scope.TASKS_MANAGE)
    status = task_status(locked.task)
    if status in ("completed", "failed", "canceled"):
        known = {"task_id": locked.details.wire_id, "status": status}
        raise AlreadyTerminal("A finished task cannot be paused.", **known)
    details, was_paused = locked.details, locked.details.paused_at is not None
    details.paused_at, details.pause_reason, details.updated_at = at, reason, at
    details.paused_by_kind, details.paused_by_ref = caller.kind, caller.ref
    facts = {"previous_paused": was_paused, "reason": reason, "metadata": metadata}
    return _changed(caller, locked, LogType.PAUSED, at=at, **facts)


def resume_task(*, caller: Caller, task_id: str, metadata: Any, at: datetime) -> LockedTask:
    """End a task's own pause; one above it still counts.

    Raise `ForceRateLimited`, `NotFound`, `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`.
    """
    caller.principal.require(Scope.TASKS_MANAGE)
    _count(caller, task_id, at)
    return _resume(caller, task_id, metadata, at)


@atomic()
def _resume(caller: Caller, task_id: str, metadata: Any, at: datetime) -> LockedTask:
    locked = lock_task(caller, task_id, scope=Scope.TASKS_MANAGE)
    details, was_paused = locked.details, locked.details.paused_at is not None
    details.paused_at, details.pause_reason, details.updated_at = None, "", at
    details.paused_by_kind, details.paused_by_ref = "", ""
    facts = {"previous_paused": was_paused, "metadata": metadata}
    return _changed(caller, locked, LogType.RESUMED, at=at, **facts)


PAUSE_FIELDS = ("paused_at", "pause_reason", "paused_by_kind", "paused_by_ref", "updated_at")


def _changed(
    caller: Caller, locked: LockedTask, kind: LogType, *, at: datetime, **payload: Any
) -> LockedTask:
    """Save the own pause of a locked task, spread it, and log it."""
    task = locked.task
    locked.details.save(update_fields=PAUSE_FIELDS)
    spread_pause(task.id)
    task.refresh_from_db(fields=["is_paused"])
    is_paused = kind is LogType.PAUSED
    entry = log_entry(
        task,
        kind,
        caller=caller,
        origin=origin_of("pause" if is_paused else "resume"),
        at=at,
        task_status=task_status(task),
        manual=True,
        actor_kind=caller.kind,
        actor_id=caller.ref,
        paused=is_paused,
        **payload,
    )
    write([entry])
    return locked


def spread_pause(task_id: UUID) -> None:
    """Write for a locked task and all below it whether they are paused, by their own rows."""
    lock_below(task_id)
    with connection.cursor() as cursor:
        cursor.execute(EFFECTIVE, [task_id])
        tasks.mark_paused(dict(cursor.fetchall()))


def lock_below(task_id: UUID) -> list[Task]:
    """Lock and return a locked task and those below it, the oldest first.

    Tasks that were created while others were waited for are found by looking again: below a locked
    task none is created.
    """
    locked: dict[UUID, Task] = {}
    while new := _ids_below(task_id) - locked.keys():
        rows = Task.objects.filter(id__in=new).order_by("created_at", "id").locked()
        locked |= {task.id: task for task in rows}
    return list(locked.values())


def _ids_below(task_id: UUID) -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(SUBTREE, [task_id])
        return {row[0] for row in cursor.fetchall()}
