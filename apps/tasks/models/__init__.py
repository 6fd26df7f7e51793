"""Store tasks, runs, requirements, dependencies and evidence."""

from apps.tasks.models.dependencies import Dependency
from apps.tasks.models.requirements import PoolSet, Requirement
from apps.tasks.models.runs import RUN_FINAL, RUN_HELD, Evidence, Run, RunStatus
from apps.tasks.models.tasks import NEWEST_FIRST, SetHash, Task, TaskQuerySet

__all__ = [
    "NEWEST_FIRST",
    "RUN_FINAL",
    "RUN_HELD",
    "Dependency",
    "Evidence",
    "PoolSet",
    "Requirement",
    "Run",
    "RunStatus",
    "SetHash",
    "Task",
    "TaskQuerySet",
]
