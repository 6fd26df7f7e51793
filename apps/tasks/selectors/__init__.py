"""Read tasks, runs and what belongs to them."""

from apps.tasks.selectors.drafts import (
    draft,
    held_epoch,
)
from apps.tasks.selectors.history import (
    OwnStatistics,
    own_history,
    own_statistics,
    typical_seconds,
)
from apps.tasks.selectors.messages import (
    messages,
    speaks_as_worker,
)
from apps.tasks.selectors.tasks import (
    MAX_PARTS,
    DependencyIds,
    TaskVersion,
    closed_before,
    closed_ids,
    dependencies,
    dependency_ids,
    dependency_prefetch,
    first_tasks,
    held_runs,
    ids_in_pools,
    legal_hold,
    legal_holds,
    open_run,
    run,
    task,
    task_version,
    tasks_by_id,
    unverified_tasks,
    visible_ids,
    with_dependency_ids,
)
from apps.tasks.selectors.work import (
    Work,
    next_held_run,
    work,
)

__all__ = [
    "MAX_PARTS",
    "DependencyIds",
    "OwnStatistics",
    "TaskVersion",
    "Work",
    "closed_before",
    "closed_ids",
    "dependencies",
    "dependency_ids",
    "dependency_prefetch",
    "draft",
    "first_tasks",
    "held_epoch",
    "held_runs",
    "ids_in_pools",
    "legal_hold",
    "legal_holds",
    "messages",
    "next_held_run",
    "open_run",
    "own_history",
    "own_statistics",
    "run",
    "speaks_as_worker",
    "task",
    "task_version",
    "tasks_by_id",
    "typical_seconds",
    "unverified_tasks",
    "visible_ids",
    "with_dependency_ids",
    "work",
]
