"""Read one task as a whole, and the tree below one."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from apps.operations.caller import Caller
from apps.operations.selectors.find import task_of
from apps.operations.selectors.listing import by_activity
from apps.operations.selectors.summaries import SummaryView, child_counts, summary_views
from apps.operations.selectors.timeline import LogView, latest_log
from apps.operations.selectors.views import TaskView, task_views
from apps.tasks.models import Run, Task

MAX_SHOWN = 500
"""Items of a list."""


@dataclass(frozen=True, slots=True)
class WholeTask:
    """Hold a task with all that belongs to it."""

    summary: SummaryView
    # Newest activity first.
    children: Sequence[SummaryView]
    # Newest first, with their task.
    runs: Sequence[Run]
    # Newest first.
    events: Sequence[LogView]


def whole_task(*, caller: Caller, task_id: str) -> WholeTask:
    """Return a task with all that belongs to it. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    return whole(caller, task_of(caller, task_id))


def whole(caller: Caller, task: Task) -> WholeTask:
    """Return all that belongs to a task that the caller may see."""
    visible = Task.objects.visible_to(caller.principal)
    children = by_activity(visible.filter(details__parent=task, details__deleted_at=None))
    summary, *below = summary_views(caller, [task, *children[:MAX_SHOWN]])
    events = latest_log(task, MAX_SHOWN, actor=caller.principal)
    return WholeTask(summary, below, runs_of(task), events)


def runs_of(task: Task) -> list[Run]:
    """Return the runs of a task, newest first: ten at most."""
    found = list(Run.objects.filter(task_id=task.id).order_by("-queued_at", "-id"))
    for run in found:
        run.task = task
    return found


@dataclass(frozen=True, slots=True)
class TreeNode:
    """Hold a task of a tree; the root has depth 0."""

    view: TaskView
    depth: int
    child_count: int


BELOW = """
WITH RECURSIVE below AS (
    SELECT task_id, 1 AS depth FROM operations_taskdetails
    WHERE parent_id = %s AND deleted_at IS NULL
    UNION ALL
    SELECT d.task_id, below.depth + 1
    FROM below JOIN operations_taskdetails d ON d.parent_id = below.task_id
    WHERE d.deleted_at IS NULL
)
SELECT task_id, depth FROM below
"""


def depths_below(task_id: UUID) -> dict[UUID, int]:
    """Return how deep each task below another one is; those directly below it have depth 1."""
    with connection.cursor() as cursor:
        cursor.execute(BELOW, [task_id])
        return dict(cursor.fetchall())


def subtree_of(*, caller: Caller, task_id: str) -> list[Task]:
    """Return a task and those below it that the caller may see: ids, and of which API each is.

    Raise `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    root = task_of(caller, task_id)
    visible = Task.objects.visible_to(caller.principal).only("id", "is_claim_only")
    return [root, *visible.filter(id__in=depths_below(root.id))]


def task_tree(*, caller: Caller, task_id: str) -> list[TreeNode]:
    """Return a task, and those below it by depth, newest activity and id.

    Raise `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    root = task_of(caller, task_id)
    depths = depths_below(root.id)
    below = Task.objects.visible_to(caller.principal).filter(id__in=depths)
    # By rank first: only those that are shown are read.
    ranked = list(by_activity(below).values_list("id", flat=True))
    shown = sorted(ranked, key=depths.__getitem__)[:MAX_SHOWN]
    rows = Task.objects.in_bulk(shown)
    tasks = [root, *(rows[id_] for id_ in shown)]
    counts = child_counts(caller.principal, [task.id for task in tasks])
    return [
        TreeNode(view, depths.get(view.task.id, 0), counts.get(view.task.id, 0))
        for view in task_views(tasks, actor=caller.principal)
    ]
