"""Find tasks and runs by their ids on the wire."""

from uuid import UUID

from apps.accounts.scopes import Scope
from apps.operations.caller import Caller
from apps.operations.models import TaskDetails
from apps.tasks.models import Run, Task
from biolayer.errors import NotFound


def task_id_of(caller: Caller, wire_id: str) -> UUID:
    """Return the kernel's id of a task: of `/api` by its id on the wire, others by their own.

    Raise `NotFound` for one that does not exist, is deleted, or belongs to another organisation.
    """
    if "\x00" in wire_id:
        # PostgreSQL has no such text.
        raise NotFound("task")
    organisation_id = caller.principal.organisation_id
    known = TaskDetails.objects.filter(organisation_id=organisation_id, wire_id=wire_id)
    found = known.values_list("task_id", "deleted_at").first()
    if found is not None:
        task_id, deleted_at = found
        if deleted_at is not None:
            raise NotFound("task")
        return task_id
    try:
        task_id = UUID(wire_id)
    except ValueError:
        raise NotFound("task") from None
    # A task of this API has one id on the wire.
    if TaskDetails.objects.filter(task_id=task_id).exists():
        raise NotFound("task")
    return task_id


def task_of(caller: Caller, wire_id: str) -> Task:
    """Return a task that the caller may read. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    caller.principal.require(Scope.TASKS_READ)
    task_id = task_id_of(caller, wire_id)
    task = Task.objects.visible_to(caller.principal).filter(id=task_id).first()
    if task is None:
        raise NotFound("task")
    return task


def visible_task_id(caller: Caller, wire_id: str) -> UUID:
    """Return the id of a task that the caller may see, whatever its scopes. Raise `NotFound`."""
    task_id = task_id_of(caller, wire_id)
    if not Task.objects.visible_to(caller.principal).filter(id=task_id).exists():
        raise NotFound("task")
    return task_id


def run_of(caller: Caller, run_id: str) -> Run:
    """Return a run, with its task, that the caller may read.

    Raise `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    caller.principal.require(Scope.TASKS_READ)
    task = task_of_run(caller, run_id)
    run = Run.objects.get(id=UUID(run_id))
    run.task = task
    return run


def task_of_run(caller: Caller, run_id: str) -> Task:
    """Return the task of a run that the caller may see, whatever its scopes. Raise `NotFound`."""
    try:
        key = UUID(run_id)
    except ValueError:
        raise NotFound("run") from None
    task = Task.objects.visible_to(caller.principal).filter(runs__id=key).first()
    deleted = TaskDetails.objects.filter(task__runs__id=key, deleted_at__isnull=False)
    if task is None or deleted.exists():
        raise NotFound("run")
    return task
