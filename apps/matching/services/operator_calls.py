"""Let operators take tasks back, choose their workers, and move them in the queue."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base.transactions import Raced, atomic, retry_races
from apps.matching.assignment import Assignment, EligibleWorker
from apps.matching.changes import offers_withdrawal
from apps.matching.eligible_workers import find_eligible_workers
from apps.matching.services.offering import Reserved, new_offer, write_offers
from apps.pools import services as pool_services
from apps.pools.models import Pool
from apps.pools.selectors import visible_workers
from apps.tasks import services as tasks
from apps.tasks.models import Task
from apps.tasks.services.locks import lock_open_runs, lock_task
from biolayer.errors import IllegalTransition, NotFound, WorkerNotEligible
from biolayer.lifecycle import HELD, Command, Status, allowed

CheckVersion = Callable[[int], None] | None
"""Gets the version of the locked task, and raises where the actor has read another one."""


def requeue_task(
    *,
    actor: Principal,
    task_id: UUID,
    reason: str,
    at: datetime,
    check_version: CheckVersion = None,
) -> Task:
    """Take an offered task back from its offers, or a held one from its worker, and queue it.

    No attempt is used. Raise `IllegalTransition`, `NotFound`, `ScopeMissing`.
    """

    @atomic()
    def requeue() -> Task:
        actor.require(Scope.TASKS_MANAGE)
        task = lock_task(actor=actor, task_id=task_id)
        if check_version is not None:
            check_version(task.version)
        _take_back(task, actor, reason, at)
        subject = ("task", task.id)
        record_action(actor=actor, action=AuditAction.TASK_REQUEUED, subject=subject, at=at)
        return task

    return retry_races(requeue)


def reassign_task(
    *,
    actor: Principal,
    task_id: UUID,
    worker_id: UUID,
    reason: str,
    at: datetime,
    check_version: CheckVersion = None,
) -> Task:
    """Offer a task to a worker that the operator chose, and to no other.

    It is taken back first from its offers or its worker. The worker must be eligible: requirements
    that exclude it can be lowered before, by `update_task`. A cooldown does not count.

    Raise `IllegalTransition`, `NotFound`, `ScopeMissing`, `WorkerNotEligible`: then nothing has
    changed.
    """

    @atomic()
    def reassign() -> Task:
        actor.require(Scope.TASKS_MANAGE)
        task = lock_task(actor=actor, task_id=task_id)
        if check_version is not None:
            check_version(task.version)
        if not visible_workers(actor).filter(id=worker_id).exists():
            raise NotFound("worker")
        if task.status != Status.QUEUED:
            _take_back(task, actor, reason, at)
        _offer_to(task, worker_id, actor, at)
        record_action(
            actor=actor,
            action=AuditAction.TASK_REASSIGNED,
            subject=("task", task.id),
            at=at,
            worker_id=str(worker_id),
        )
        return task

    return retry_races(reassign)


@atomic()
def boost_task(
    *,
    actor: Principal,
    task_id: UUID,
    seconds: int,
    reason: str,
    at: datetime,
    check_version: CheckVersion = None,
) -> Task:
    """Move a task ahead in the queue, as if it had waited so much longer; negative: back.

    Raise `IllegalTransition` unless it was queued and is open, `NotFound`, `ScopeMissing`.
    """
    actor.require(Scope.TASKS_MANAGE)
    task = lock_task(actor=actor, task_id=task_id)
    if check_version is not None:
        check_version(task.version)
    if task.sort_at is None:
        status = Status(task.status)
        raise IllegalTransition(Command.UPDATE, status, allowed(status))
    tasks.change_task(
        task=task,
        actor=actor,
        at=at,
        data={"changes": {}, "boost_seconds": seconds},
        columns={"sort_at": task.sort_at - timedelta(seconds=seconds)},
        reason=reason,
    )
    record_action(
        actor=actor,
        action=AuditAction.TASK_BOOSTED,
        subject=("task", task.id),
        at=at,
        seconds=seconds,
    )
    return task


def _take_back(task: Task, actor: Principal, reason: str, at: datetime) -> None:
    """Queue a locked task that is offered, or held by a worker. Raise `IllegalTransition`."""
    if task.status in HELD:
        tasks.recall_run(task=task, actor=actor, at=at, reason=reason)
        return
    withdrawn = offers_withdrawal(task_id=task.id, at=at)
    tasks.requeue_task(task=task, actor=actor, at=at, data={}, also=withdrawn, reason=reason)


def _offer_to(task: Task, worker_id: UUID, actor: Principal, at: datetime) -> None:
    """Offer a locked queued task to the worker. Raise `WorkerNotEligible`, `Raced`."""
    worker = _eligible(task, worker_id, at)
    runs = lock_open_runs(task_ids=[task.id])
    units = {worker_id: worker.units}
    if not runs or not pool_services.lock_pools(pool_ids=[worker.pool_id]):
        raise Raced("The pool or the run is being changed. Send this again in a moment.")
    if not pool_services.lock_workers_with_capacity(units):
        raise Raced("The worker is being changed. Send this again in a moment.")
    pool_services.reserve_capacity(units)
    pools = Pool.objects.in_bulk([worker.pool_id])
    assignment = Assignment(task.id, worker, worker.score(slot=0, at=at))
    reserved = Reserved([assignment], [], {task.id: task}, runs, pools)
    write_offers(task, [new_offer(reserved, assignment, at)], actor, at)


def _eligible(task: Task, worker_id: UUID, at: datetime) -> EligibleWorker:
    assert task.requirement_id is not None
    found = find_eligible_workers(
        limits={task.requirement_id: 0}, preferred_worker_ids=[worker_id], at=at
    )
    for worker in found.workers[task.requirement_id]:
        if worker.worker_id == worker_id:
            return worker
    raise WorkerNotEligible(
        "The worker does not meet the task's requirements, is not available, or has no free"
        " capacity. Lower the requirements, or choose another worker."
    )
