"""Lock tasks and runs of `/api` by their ids on the wire. The task's row is the mutex of them all.

A call that locks several tasks locks the oldest first, as the kernel does (docs/adr/0005).
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import OperationalError

from apps.accounts.scopes import Scope
from apps.base.transactions import Raced, is_timeout
from apps.operations.caller import Caller
from apps.operations.models import RunDetails, TaskDetails
from apps.operations.selectors.find import task_id_of
from apps.tasks.models import RUN_FINAL, Run, Task
from biolayer.errors import NotFound, NotOfThisApi, TaskPurged


@dataclass(frozen=True, slots=True)
class LockedTask:
    """Hold a locked task of `/api`."""

    task: Task
    details: TaskDetails


@dataclass(frozen=True, slots=True)
class LockedRun:
    """Hold a locked run, with its locked task and its details."""

    run: Run
    task: Task
    task_details: TaskDetails
    details: RunDetails


def lock_any_task(caller: Caller, wire_id: str) -> Task:
    """Lock and return a task that the caller may see, of whichever API. Raise `NotFound`."""
    task_id = task_id_of(caller, wire_id)
    task = Task.objects.visible_to(caller.principal).locked().filter(id=task_id).first()
    if task is None:
        raise NotFound("task")
    return task


def lock_task(caller: Caller, wire_id: str, *, scope: Scope) -> LockedTask:
    """Lock and return a task of `/api` with its details.

    Raise `NotFound`, `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`.
    """
    caller.principal.require(scope)
    return locked_details(lock_any_task(caller, wire_id))


def locked_details(task: Task) -> LockedTask:
    """Return a locked task with its details. Raise `NotFound`, `NotOfThisApi`, `TaskPurged`."""
    if not task.is_claim_only:
        raise NotOfThisApi
    details = TaskDetails.objects.get(task_id=task.id)
    if details.deleted_at is not None:
        raise NotFound("task")
    if task.purged_at is not None:
        raise TaskPurged
    return LockedTask(task, details)


def lock_later(caller: Caller, wire_id: str) -> Task:
    """Lock a second task, which may be older than the first: do not wait for it.

    Raise `NotFound`; `Raced` where another transaction has it, for the call to be tried again.
    """
    task_id = task_id_of(caller, wire_id)
    try:
        task = Task.objects.visible_to(caller.principal).locked_nowait().filter(id=task_id).first()
    except OperationalError as error:
        if is_timeout(error):
            raise Raced("The other task is being changed. Send the call again.") from error
        raise
    if task is None:
        raise NotFound("task")
    return task


def lock_run(caller: Caller, run_id: str, *, scope: Scope) -> LockedRun:
    """Lock and return a run of a task of `/api` that the caller may see, its task first.

    Raise `NotFound`, `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`.
    """
    caller.principal.require(scope)
    try:
        key = UUID(run_id)
    except ValueError:
        raise NotFound("run") from None
    task = Task.objects.visible_to(caller.principal).locked().filter(runs__id=key).first()
    if task is None:
        raise NotFound("run")
    locked = locked_details(task)
    run = Run.objects.select_for_update(no_key=True).get(id=key)
    run.task = task
    return LockedRun(run, task, locked.details, details_of(run))


def details_of(run: Run) -> RunDetails:
    """Return the details of a run of a locked task; those that are missing are made."""
    origin = {"origin_kind": "daemon", "origin_ref": "kernel"}
    found, _ = RunDetails.objects.get_or_create(
        run_id=run.id,
        defaults={"organisation_id": run.organisation_id, "task_id": run.task_id, **origin},
    )
    return found


def open_run(task: Task) -> Run | None:
    """Return the open run of a locked task."""
    return Run.objects.filter(task_id=task.id).exclude(status__in=RUN_FINAL).first()
