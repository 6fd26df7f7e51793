"""Cancel tasks of `/api` with all tasks below them, and delete tasks."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts.scopes import Scope
from apps.base.rows import Change, batched
from apps.base.transactions import atomic
from apps.operations.caller import Caller, origin_of
from apps.operations.log import LogType, log_entry
from apps.operations.models import ExecutionProfile, LogEntry, RunDetails, TaskDetails, TriageState
from apps.operations.projection import task_status
from apps.operations.services.locks import LockedTask, lock_task, open_run
from apps.operations.services.pausing import lock_below
from apps.operations.services.run_reviews import drop_run_reviews
from apps.operations.services.subscribing import end_subscriptions
from apps.tasks import services as tasks
from apps.tasks.models import RUN_FINAL, Run, RunStatus, Task
from biolayer.errors import Fault, InvalidInput, TransitionRefused
from biolayer.lifecycle import CLOSED, Status

GRACE_MS = 5_000
"""How long a session may go on that is asked to stop. Ours is a record, which stops at once."""

AT_ONCE = 100
"""Tasks that one statement cancels."""

DELETED = "deleted"
"""Why the kernel's task is cancelled that `/api` deletes."""


@atomic()
def cancel_task(
    *, caller: Caller, task_id: str, reason: str, metadata: Any, at: datetime
) -> LockedTask:
    """Cancel a task and what is below it, with their open runs. A canceled one stays as it is.

    Tasks below it that are finished, or have submitted an output, are left alone. Raise
    `IllegalTransition` once an output was submitted, `NotFound`, `NotOfThisApi`, `RoleTooLow`,
    `ScopeMissing`, `TransitionRefused`.
    """
    locked = lock_task(caller, task_id, scope=Scope.TASKS_CANCEL)
    root = locked.task
    if root.status == Status.CANCELLED:
        return locked
    if task_status(root) in ("completed", "failed"):
        raise TransitionRefused("The task is finished.")
    below = [one for one in lock_below(root.id) if one.id != root.id and _can_be_canceled(one)]
    runs = _open_runs([root, *below])
    words = {"reason": reason, "metadata": metadata}
    _cancel(caller, root, runs.get(root.id), at, **words, propagated_from_task_id="")
    source = locked.details.wire_id
    for some in _in_statements(below):
        with batched() if len(some) > 1 else nullcontext():
            for task in some:
                run = runs.get(task.id)
                _cancel(caller, task, run, at, **words, propagated_from_task_id=source)
    return locked


def _in_statements(below: Sequence[Task]) -> Iterator[Sequence[Task]]:
    """Yield the tasks that one statement cancels each.

    What is held releases its worker, which several may share, and a failed task is changed twice:
    one statement changes a row once.
    """
    waiting = [task for task in below if task.status in (Status.CREATED, Status.DRAFT)]
    yield from (waiting[first : first + AT_ONCE] for first in range(0, len(waiting), AT_ONCE))
    others = {task.id for task in below} - {task.id for task in waiting}
    yield from ([task] for task in below if task.id in others)


def _open_runs(found: Sequence[Task]) -> dict[UUID, Run]:
    """Return the open run of each task that has one, with its task."""
    known = {task.id: task for task in found}
    runs = Run.objects.filter(task_id__in=known).exclude(status__in=RUN_FINAL)
    return {run.task_id: run for run in runs}


def _can_be_canceled(task: Task) -> bool:
    """Return whether a task is open, and has not submitted an output that waits for a verdict."""
    is_finished = task_status(task) in ("completed", "failed", "canceled")
    return not is_finished and task.status not in (Status.SUBMITTED, Status.VERIFIED)


def _cancel(
    caller: Caller,
    task: Task,
    run: Run | None,
    at: datetime,
    *,
    reason: str,
    metadata: Any,
    propagated_from_task_id: str,
) -> None:
    if task.status == Status.FAILED:
        # An attempt is left since its end: it waits again before it is canceled.
        tasks.hold_failed(task=task, actor=caller.principal, at=at)
    tasks.cancel_locked(
        task=task,
        actor=caller.principal,
        reason=reason,
        at=at,
        also=_entries(
            caller,
            task,
            run,
            at,
            reason=reason,
            metadata=metadata,
            propagated_from_task_id=propagated_from_task_id,
        ),
    )


def _entries(
    caller: Caller, task: Task, run: Run | None, at: datetime, **words: Any
) -> Iterable[Change]:
    origin = origin_of("cancel")
    yield log_entry(
        task,
        LogType.CANCELED,
        caller=caller,
        origin=origin,
        at=at,
        task_status="canceled",
        canceled_run_ids=[] if run is None else [str(run.id)],
        **words,
    )
    if run is None:
        return
    session_id = _session_at_work(run)
    yield log_entry(
        task,
        LogType.RUN_CANCELED,
        caller=caller,
        origin=origin,
        at=at,
        run_id=run.id,
        task_status="canceled",
        status="canceled",
        session_id=session_id,
        cooperative_stop_requested=True if session_id else None,
        **words,
    )
    if session_id:
        yield log_entry(
            task,
            LogType.RUN_FORCE_STOPPED,
            caller=caller,
            origin=origin,
            at=at,
            run_id=run.id,
            task_status="canceled",
            status="canceled",
            session_id=session_id,
            grace_timeout_ms=GRACE_MS,
        )


def _session_at_work(run: Run) -> str:
    """Return the session that works on an open run, which stops with it; empty without one."""
    if run.status not in (RunStatus.STARTING, RunStatus.RUNNING):
        return ""
    details = RunDetails.objects.filter(run_id=run.id)
    return details.values_list("session_id", flat=True).first() or ""


@atomic()
def cancel_run(
    *, caller: Caller, locked: LockedTask, reason: str, metadata: Any, at: datetime
) -> None:
    """Cancel a locked task by its open run: the tasks below it go on. Raise `IllegalTransition`."""
    words = {"reason": reason, "metadata": metadata}
    run = open_run(locked.task)
    _cancel(caller, locked.task, run, at, **words, propagated_from_task_id="")


@atomic()
def delete_task(*, caller: Caller, task_id: str, at: datetime) -> None:
    """Delete a task without children and without an open run; its dependents wait for it no more.

    The kernel keeps a tombstone until the retention ends, by which `/v1` shows it as cancelled.
    Raise `InvalidInput`, `NotFound`, `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`.
    """
    locked = lock_task(caller, task_id, scope=Scope.TASKS_MANAGE)
    task, details = locked.task, locked.details
    if TaskDetails.objects.filter(parent_id=task.id, deleted_at=None).exists():
        raise InvalidInput([Fault("/id", "has_children", "names a task with children")])
    if open_run(task) is not None:
        raise InvalidInput([Fault("/id", "open_run", "names a task with an open run")])
    if task.status not in CLOSED:
        tasks.cancel_locked(task=task, actor=caller.principal, reason=DELETED, at=at)
    details.deleted_at = details.updated_at = at
    # Another task may have its id, and its runs' keys.
    details.wire_id = str(task.id)
    details.save(update_fields=["deleted_at", "updated_at", "wire_id"])
    RunDetails.objects.filter(task_id=task.id).update(idempotency_key="")
    drop_run_reviews(task_ids=[task.id], at=at)
    tasks.unlink_all(task)
    end_subscriptions(task, at=at)
    LogEntry.objects.filter(task_id=task.id).delete()
    TriageState.objects.filter(task_id=task.id).delete()
    ExecutionProfile.objects.filter(task_id=task.id).delete()
