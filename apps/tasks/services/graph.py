"""Link tasks that only claims hand out to others that they wait for, and pause them.

Such a task keeps its gates in every status: one for each dependency that is not completed.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Max

from apps.base.rows import write
from apps.tasks.changes import gate_opening
from apps.tasks.models import Dependency, Task
from apps.tasks.services.claim_only import change_columns
from biolayer.lifecycle import Status


def link(*, task: Task, needed: Task, at: datetime) -> int:
    """Let a locked task wait for another locked one. Return by how much its gates change."""
    last = Dependency.objects.filter(task_id=task.id).aggregate(last=Max("position"))["last"]
    Dependency.objects.create(
        organisation_id=task.organisation_id,
        task=task,
        needs=needed,
        position=0 if last is None else last + 1,
        added_at=at,
    )
    return 0 if needed.status == Status.COMPLETED else 1


def unlink(*, task: Task, needed: Task) -> int | None:
    """Let a locked task wait for another locked one no more. Return by how much its gates change.

    None, if it does not depend on that one. Both are locked, since a completion of the other one
    that has begun would open the gate of a dependency that is gone.
    """
    deleted, _ = Dependency.objects.filter(task_id=task.id, needs_id=needed.id).delete()
    if not deleted:
        return None
    return 0 if needed.status == Status.COMPLETED else -1


def unlink_all(task: Task) -> None:
    """Remove the dependencies of a locked task, and on it: its dependents lose a closed gate."""
    if task.status != Status.COMPLETED:
        write([gate_opening(task_id=task.id)])
    Dependency.objects.filter(needs_id=task.id).delete()
    Dependency.objects.filter(task_id=task.id).delete()


def move_gates(task: Task, gates: int) -> None:
    """Close so many more gates of a locked task (negative: open)."""
    change_columns(task, {"gate_count": task.gate_count + gates})


MARK_PAUSED = """
UPDATE tasks_task t SET is_paused = named.is_paused
FROM unnest(%s::uuid[], %s::boolean[]) AS named (id, is_paused)
WHERE t.id = named.id AND t.is_paused <> named.is_paused
"""


def mark_paused(paused: Mapping[UUID, bool]) -> None:
    """Write for locked tasks whether they are handed out now."""
    with connection.cursor() as cursor:
        cursor.execute(MARK_PAUSED, [list(paused), list(paused.values())])
