"""Change tasks of `/api`, and keep the roll-ups. Import the services from here."""

from apps.operations.services.cancelling import cancel_run, cancel_task, delete_task
from apps.operations.services.changing import TaskChanges, update_task
from apps.operations.services.creating import TaskFields, create_task, find_workspace
from apps.operations.services.dependencies import (
    add_dependency,
    enqueue_dependents,
    remove_dependency,
)
from apps.operations.services.folding import FIRST_CHANGE_DUE_AT, clean_up_rollups, fold_changes
from apps.operations.services.locks import LockedRun, LockedTask, lock_run, lock_task
from apps.operations.services.pausing import pause_task, resume_task
from apps.operations.services.processes import delete_dead_processes
from apps.operations.services.purging import purge_details
from apps.operations.services.queueing import (
    QueuedRun,
    RunRequest,
    add_run,
    approve_task,
    enqueue_run,
    publish_task,
    reject_task,
    start_task,
)
from apps.operations.services.recounting import recount, recount_if_due

__all__ = [
    "FIRST_CHANGE_DUE_AT",
    "LockedRun",
    "LockedTask",
    "QueuedRun",
    "RunRequest",
    "TaskChanges",
    "TaskFields",
    "add_dependency",
    "add_run",
    "approve_task",
    "cancel_run",
    "cancel_task",
    "clean_up_rollups",
    "create_task",
    "delete_dead_processes",
    "delete_task",
    "enqueue_dependents",
    "enqueue_run",
    "find_workspace",
    "fold_changes",
    "lock_run",
    "lock_task",
    "pause_task",
    "publish_task",
    "purge_details",
    "recount",
    "recount_if_due",
    "reject_task",
    "remove_dependency",
    "resume_task",
    "start_task",
    "update_task",
]
