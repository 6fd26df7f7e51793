"""Lock tasks and runs before a service checks and changes them.

The task's row is the mutex of everything below it: its runs, its offers, its evidence. The global
order is pool, task, run, offer, worker (docs/adr/0005); PostgreSQL locks the rows of one statement
in the order in which `of` names them.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import orjson
from django.db import connection

from apps.accounts.principal import Principal
from apps.base.reading import Reader, columns_of
from apps.tasks.models import RUN_HELD, Run, Task
from apps.tasks.selectors import unverified_tasks
from biolayer.errors import LeaseLost, NotFound
from biolayer.lifecycle import Status


def lock_task(*, actor: Principal, task_id: UUID) -> Task:
    """Lock and return a task that the actor may see. Raise `NotFound`."""
    task = Task.objects.visible_to(actor).locked().filter(id=task_id).first()
    if task is None:
        raise NotFound("task")
    return task


def lock_run(*, actor: Principal, run_id: UUID) -> Run:
    """Lock and return a run of the actor's organisation, with its task. Raise `NotFound`.

    The epoch decides who holds it: a worker that lost the lease must get `LeaseLost`, not
    `NotFound`.
    """
    return lock_run_of(organisation_id=actor.organisation_id, run_id=run_id)


RUN_COLUMNS, TASK_COLUMNS = columns_of(Run, alias="run"), columns_of(Task, alias="task")
# Where version 0.2 gave the run to its worker, it names no pool.
LOCK_RUN = f"""
SELECT {RUN_COLUMNS}, {TASK_COLUMNS}, (
    SELECT pool.review_policy FROM pools_pool pool
    WHERE pool.id = coalesce(run.pool_id, task.pool_id))
FROM tasks_run run JOIN tasks_task task ON task.id = run.task_id
WHERE run.id = %(run_id)s AND run.organisation_id = %(organisation_id)s
FOR NO KEY UPDATE OF task, run
"""
_lock_run = Reader(Run, LOCK_RUN, related={"task": Task}, extra=["pool_review_policy"])


def lock_run_of(*, organisation_id: UUID, run_id: UUID) -> Run:
    """Lock and return a run of an organisation, with its task. Raise `NotFound`.

    Its pool's review policy is read, too, for `reviewing.review_request`.
    """
    run = _lock_run.first({"run_id": run_id, "organisation_id": organisation_id})
    if run is None:
        raise NotFound("run")
    policy = vars(run)["pool_review_policy"]
    vars(run)["pool_review_policy"] = None if policy is None else orjson.loads(policy)
    return run


def lock_held_run(*, actor: Principal, run_id: UUID, epoch: int, at: datetime) -> Run:
    """Lock and return a run that the actor holds by this epoch. Raise `LeaseLost`, `NotFound`."""
    worker_id = actor.require_worker()
    run = lock_run(actor=actor, run_id=run_id)
    require_held(run, worker_id=worker_id, epoch=epoch, at=at)
    return run


def require_held(run: Run, *, worker_id: UUID, epoch: int, at: datetime) -> None:
    """Raise `LeaseLost` unless the worker holds the locked run by this epoch."""
    if not run.is_held_by(worker_id=worker_id, epoch=epoch, at=at):
        raise LeaseLost("The lease ended, or another worker has the run. Nothing was changed.")


def lock_run_nowait(*, run_id: UUID) -> Run | None:
    """Lock and return a run with its task. Raise `OperationalError` where one is locked."""
    return (
        Run.objects.filter(id=run_id)
        .select_related("task")
        .select_for_update(no_key=True, of=("task", "self"), nowait=True)
        .first()
    )


def lock_held_by_any(*, task: Task) -> Run:
    """Lock and return the run of a locked task that a worker holds."""
    held = Run.objects.filter(task_id=task.id, status__in=RUN_HELD)
    run = held.select_for_update(no_key=True).get()
    run.task = task
    return run


def lock_queued(*, task_ids: Collection[UUID]) -> list[Task]:
    """Lock and return those of the tasks that are still queued and not locked elsewhere."""
    queued = Task.objects.filter(id__in=task_ids, status=Status.QUEUED)
    return list(queued.order_by("id").locked_skip_locked())


OPEN_RUNS = """
SELECT task_id, id FROM tasks_run
WHERE task_id = ANY (%s) AND status NOT IN ('completed', 'failed', 'canceled')
ORDER BY id FOR KEY SHARE SKIP LOCKED
"""


def lock_open_runs(*, task_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Lock the open run of each locked task against deletion. Return task id -> run id.

    A run that another transaction has locked is left out.
    """
    if not task_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(OPEN_RUNS, [list(task_ids)])
        return dict(cursor.fetchall())


def lock_unverified(*, task_id: UUID) -> Task | None:
    """Lock and return a task that waits for its verification; None if locked elsewhere."""
    return unverified_tasks().filter(id=task_id).locked_skip_locked().first()


DEPENDENCIES = """
SELECT id, status FROM tasks_task WHERE id = ANY(%s) ORDER BY created_at, id FOR SHARE
"""


def lock_dependencies(task_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Lock the tasks, the oldest first. Return their statuses, which hold until commit."""
    if not task_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(DEPENDENCIES, [list(task_ids)])
        return dict(cursor.fetchall())
