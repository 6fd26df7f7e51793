"""Add and remove dependencies of tasks of `/api`, and queue dependents that wait for that.

Cycles are searched under a lock for the organisation: two edges that are added at the same time
could close one that neither sees.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import F

from apps.accounts import principal
from apps.accounts.scopes import Scope
from apps.base.rows import write
from apps.base.transactions import atomic, retry_races
from apps.operations.caller import Caller, daemon, origin_of
from apps.operations.log import LogType, log_entry
from apps.operations.models import RunDetails
from apps.operations.projection import task_status
from apps.operations.selectors.find import task_id_of
from apps.operations.selectors.timeline import completing_actor
from apps.operations.services.locks import (
    LockedTask,
    lock_later,
    lock_task,
    locked_details,
    open_run,
)
from apps.operations.services.queueing import RunRequest, add_run
from apps.tasks import services as tasks
from apps.tasks.models import Dependency, Run, RunStatus, Task
from biolayer.errors import (
    DependencyCycle,
    Fault,
    GraphLimit,
    InvalidInput,
    NotFound,
)
from biolayer.lifecycle import Status

MAX_DEPENDENCIES = 32
RETRY_LOCKED = timedelta(seconds=0.5)
BATCH = 100

LOCK_GRAPH = (
    "SELECT pg_advisory_xact_lock(hashtextextended('dependencies', 0) # hashtextextended(%s, 1))"
)
REACHES = """
WITH RECURSIVE needed AS (
    SELECT %s::uuid AS id
    UNION
    SELECT d.needs_id FROM needed JOIN tasks_dependency d ON d.task_id = needed.id
)
SELECT EXISTS (SELECT FROM needed WHERE id = %s)
"""


def add_dependency(*, caller: Caller, task_id: str, depends_on: str, at: datetime) -> LockedTask:
    """Let a task wait for another, of whichever API, until that is completed.

    Raise `DependencyCycle`, `GraphLimit`, `InvalidInput`, `NotFound`, `NotOfThisApi`, `RoleTooLow`,
    `ScopeMissing`.
    """
    return retry_races(lambda: _add(caller, task_id, depends_on, at))


@atomic()
def _add(caller: Caller, task_id: str, depends_on: str, at: datetime) -> LockedTask:
    caller.principal.require(Scope.TASKS_CREATE)
    with connection.cursor() as cursor:
        cursor.execute(LOCK_GRAPH, [str(caller.principal.organisation_id)])
    locked = lock_task(caller, task_id, scope=Scope.TASKS_CREATE)
    task = locked.task
    if task_id_of(caller, depends_on) == task.id:
        raise InvalidInput([_fault("is the task itself")])
    needed = lock_later(caller, depends_on)
    edges = Dependency.objects.filter(task_id=task.id)
    if edges.filter(needs_id=needed.id).exists():
        raise InvalidInput([_fault("is a dependency already")])
    if edges.count() >= MAX_DEPENDENCIES:
        raise GraphLimit(f"A task has at most {MAX_DEPENDENCIES} dependencies.")
    if _reaches(needed.id, task.id):
        raise DependencyCycle
    gates = tasks.link(task=task, needed=needed, at=at)
    _log(caller, locked, LogType.DEPENDENCY_ADDED, depends_on, gates=gates, at=at)
    return locked


def remove_dependency(*, caller: Caller, task_id: str, depends_on: str, at: datetime) -> LockedTask:
    """Let a task wait for another no more.

    Raise `NotFound` (the task, or the dependency), `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`.
    """
    return retry_races(lambda: _remove(caller, task_id, depends_on, at))


@atomic()
def _remove(caller: Caller, task_id: str, depends_on: str, at: datetime) -> LockedTask:
    locked = lock_task(caller, task_id, scope=Scope.TASKS_CREATE)
    gates = tasks.unlink(task=locked.task, needed=lock_later(caller, depends_on))
    if gates is None:
        raise NotFound("dependency")
    _log(caller, locked, LogType.DEPENDENCY_REMOVED, depends_on, gates=gates, at=at)
    return locked


def _log(
    caller: Caller, locked: LockedTask, kind: LogType, depends_on: str, *, gates: int, at: datetime
) -> None:
    """Move the gates of a locked task by an edge that was added or removed, and log that."""
    task = locked.task
    tasks.move_gates(task, gates)
    action = "add_dependency" if kind is LogType.DEPENDENCY_ADDED else "remove_dependency"
    entry = log_entry(
        task,
        kind,
        caller=caller,
        origin=origin_of(action),
        at=at,
        task_status=task_status(task),
        depends_on_task_id=depends_on,
        kind="blocks",
    )
    write([entry])


def _reaches(start: UUID, goal: UUID) -> bool:
    """Return whether a task depends on another, perhaps by others between them."""
    with connection.cursor() as cursor:
        cursor.execute(REACHES, [start, goal])
        (found,) = cursor.fetchone()
    return bool(found)


def _fault(text: str) -> Fault:
    return Fault("/depends_on_task_id", "invalid", text)


@atomic()
def enqueue_dependents(*, task_id: UUID, at: datetime) -> datetime | None:
    """Handle the timer of a completed task: queue a run of each dependent that waited for that.

    Those have `auto_enqueue_on_ready`, are blocked by nothing else, and are not paused. Return when
    the timer is due again, or None.
    """
    run = Run.objects.filter(task_id=task_id, status=RunStatus.COMPLETED).order_by("attempt").last()
    if run is None:
        return None
    waiting = Task.objects.filter(
        dependencies__needs_id=task_id,
        details__auto_enqueue_on_ready=True,
        details__deleted_at=None,
        status=Status.CREATED,
        gate_count=1,
        is_paused=False,
        run_queued_at=None,
        attempt__lt=F("max_attempts"),
        purged_at=None,
    ).order_by("created_at", "id")
    found = list(waiting.locked_skip_locked()[:BATCH])
    caller = _completer(run)
    for dependent in found:
        _enqueue(caller, locked_details(dependent), run, at)
    if len(found) == BATCH:
        return at
    # Those that other transactions had locked; what could not be queued is left out.
    left = waiting.exclude(id__in=[dependent.id for dependent in found])
    return at + RETRY_LOCKED if left.exists() else None


def _completer(run: Run) -> Caller:
    """Return who completed a run, for whom its dependents are queued; the rights are our own."""
    actor = completing_actor(run)
    own = principal.system("dependencies", run.organisation_id)
    return daemon(own, "auto-enqueue") if actor is None else Caller(own, *actor)


def _enqueue(caller: Caller, locked: LockedTask, completed: Run, at: datetime) -> None:
    """Queue a run of a locked task that is ready, unless that was done for this completion."""
    task = locked.task
    key = f"task.auto_enqueue.{locked.details.wire_id}.{completed.id}"
    was_queued = RunDetails.objects.filter(task_id=task.id, idempotency_key=key).exists()
    if was_queued or open_run(task) is not None:
        return
    add_run(
        caller=caller,
        locked=locked,
        origin=origin_of("auto_enqueue"),
        request=RunRequest(idempotency_key=key),
        at=at,
    )
