"""Change tasks of `/api`, and keep the roll-ups. Import the services from here."""

from apps.operations.services.bridges import (
    create_bridge_instance,
    delete_bridge_instance,
    update_bridge_instance,
)
from apps.operations.services.cancelling import cancel_run, cancel_task, delete_task
from apps.operations.services.changing import TaskChanges, update_task
from apps.operations.services.creating import TaskFields, create_task, find_workspace
from apps.operations.services.dependencies import (
    add_dependency,
    enqueue_dependents,
    remove_dependency,
)
from apps.operations.services.folding import FIRST_CHANGE_DUE_AT, clean_up_rollups, fold_changes
from apps.operations.services.force_limit import count_forced, delete_force_windows
from apps.operations.services.listing import (
    clean_up_listed,
    fold_all,
    fold_touched,
    recount_listed,
)
from apps.operations.services.locks import LockedRun, LockedTask, lock_run, lock_task
from apps.operations.services.notifying import note_attempts, notify_due
from apps.operations.services.pausing import pause_task, resume_task
from apps.operations.services.processes import delete_dead_processes
from apps.operations.services.profiles import ProfileFields, delete_profile, set_profile
from apps.operations.services.purging import erase_run_review_words, purge_details
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
from apps.operations.services.run_review_requests import ReviewRequest, request_review
from apps.operations.services.run_reviews import (
    By,
    LockedReview,
    Recorded,
    Reviewer,
    RunVerdict,
    bind_review,
    check_later,
    forget_review,
    lock_due_review,
    lock_review,
    recheck_review_of,
    record_review,
    recorded_again,
)
from apps.operations.services.scheduling import (
    Drain,
    drain_scheduler,
    pause_scheduler,
    resume_scheduler,
)
from apps.operations.services.starvation import CYCLE_SECONDS, step_starved
from apps.operations.services.subscribing import (
    SubscriptionFields,
    subscribe_bridge,
    unsubscribe_bridge,
)
from apps.operations.services.triage import archive, dismiss, mark_read

__all__ = [
    "CYCLE_SECONDS",
    "FIRST_CHANGE_DUE_AT",
    "By",
    "Drain",
    "LockedReview",
    "LockedRun",
    "LockedTask",
    "ProfileFields",
    "QueuedRun",
    "Recorded",
    "ReviewRequest",
    "Reviewer",
    "RunRequest",
    "RunVerdict",
    "SubscriptionFields",
    "TaskChanges",
    "TaskFields",
    "add_dependency",
    "add_run",
    "approve_task",
    "archive",
    "bind_review",
    "cancel_run",
    "cancel_task",
    "check_later",
    "clean_up_listed",
    "clean_up_rollups",
    "count_forced",
    "create_bridge_instance",
    "create_task",
    "delete_bridge_instance",
    "delete_dead_processes",
    "delete_force_windows",
    "delete_profile",
    "delete_task",
    "dismiss",
    "drain_scheduler",
    "enqueue_dependents",
    "enqueue_run",
    "erase_run_review_words",
    "find_workspace",
    "fold_all",
    "fold_changes",
    "fold_touched",
    "forget_review",
    "lock_due_review",
    "lock_review",
    "lock_run",
    "lock_task",
    "mark_read",
    "note_attempts",
    "notify_due",
    "pause_scheduler",
    "pause_task",
    "publish_task",
    "purge_details",
    "recheck_review_of",
    "record_review",
    "recorded_again",
    "recount",
    "recount_if_due",
    "recount_listed",
    "reject_task",
    "remove_dependency",
    "request_review",
    "resume_scheduler",
    "resume_task",
    "set_profile",
    "start_task",
    "step_starved",
    "subscribe_bridge",
    "unsubscribe_bridge",
    "update_bridge_instance",
    "update_task",
]
