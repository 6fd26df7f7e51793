"""Lock what the assignments of a batch (batch.py) need, and write the offers.

Where a row is locked elsewhere, the batch is assigned again without it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.base import rows
from apps.base.rows import Insert
from apps.matching.assignment import Assignment
from apps.matching.changes import OFFER
from apps.matching.models import Offer
from apps.matching.services.batch import Batch, broadcast, pools_of
from apps.pools import services as pool_services
from apps.pools.models import Pool
from apps.pools.selectors import offer_duration
from apps.pools.services import lock_pools
from apps.tasks import services as tasks
from apps.tasks.models import Task
from apps.tasks.services.locks import lock_open_runs, lock_queued
from apps.timers.changes import timer_upsert
from biolayer.times import format_time


@dataclass(frozen=True, slots=True)
class Reserved:
    """Hold assignments whose rows are locked and whose workers' capacity is reserved.

    `further` are those beside the first worker of each task (see `broadcast`); `runs` the ids of
    the tasks' open runs.
    """

    assignments: Sequence[Assignment]
    further: Sequence[Assignment]
    tasks: Mapping[UUID, Task]
    runs: Mapping[UUID, UUID]
    pools: Mapping[UUID, Pool]


def offer_batch(batch: Batch, organisation_id: UUID) -> Sequence[Assignment]:
    """Offer the tasks of a batch to the best workers. Return the first worker of each task."""
    reserved = _reserve(batch)
    by_task: dict[UUID, list[Assignment]] = {}
    for assignment in [*reserved.assignments, *reserved.further]:
        by_task.setdefault(assignment.task_id, []).append(assignment)
    actor = principal.system("matcher", organisation_id)
    with rows.batched():
        for task_id, assignments in by_task.items():
            offers = [new_offer(reserved, assignment, batch.at) for assignment in assignments]
            write_offers(reserved.tasks[task_id], offers, actor, batch.at)
    return reserved.assignments


def _reserve(batch: Batch) -> Reserved:
    """Assign tasks, lock them and their pools, and reserve the workers' units.

    Start again without what other transactions have locked, until everything is locked.
    """
    locked: dict[UUID, Task] = {}
    runs: dict[UUID, UUID] = {}
    while True:
        assignments = batch.assign()
        task_ids = {assignment.task_id for assignment in assignments}
        locked |= {task.id: task for task in lock_queued(task_ids=task_ids - locked.keys())}
        runs |= lock_open_runs(task_ids=(task_ids & locked.keys()) - runs.keys())
        if locked_elsewhere := task_ids - runs.keys():
            batch.leave_out(tasks=locked_elsewhere)
            continue
        pool_ids = {assignment.worker.pool_id for assignment in assignments}
        if locked_elsewhere := pool_ids - lock_pools(pool_ids=pool_ids):
            batch.leave_out(pools=locked_elsewhere)
            continue
        pools = pools_of(assignments, locked.values())
        further = broadcast(assignments, batch, locked, pools)
        units = _units_by_worker([*assignments, *further])
        # All or none: units that are returned would open a membership that was not compared with
        # the parked requirements.
        if locked_elsewhere := units.keys() - pool_services.lock_workers_with_capacity(units):
            batch.leave_out(workers=locked_elsewhere)
            continue
        pool_services.reserve_capacity(units)
        return Reserved(assignments, further, locked, runs, pools)


def _units_by_worker(assignments: Iterable[Assignment]) -> dict[UUID, int]:
    units: dict[UUID, int] = {}
    for assignment in assignments:
        worker = assignment.worker
        units[worker.worker_id] = units.get(worker.worker_id, 0) + worker.units
    return units


def new_offer(reserved: Reserved, assignment: Assignment, at: datetime) -> Offer:
    """Return the unsaved offer of an assignment."""
    worker = assignment.worker
    task, pool = reserved.tasks[assignment.task_id], reserved.pools[worker.pool_id]
    return Offer(
        organisation_id=task.organisation_id,
        task=task,
        run_id=reserved.runs[task.id],
        worker_id=worker.worker_id,
        pool=pool,
        units=worker.units,
        offered_at=at,
        expires_at=at + offer_duration(pool, task.urgency),
        why={
            "preferred_share": worker.preferred,
            "free_units": worker.free,
            "capacity": worker.capacity,
            "waiting_since": format_time(worker.waiting_since),
            "rating": worker.rating,
            "score": round(assignment.score, 4),
        },
    )


def write_offers(task: Task, offers: Sequence[Offer], actor: Principal, at: datetime) -> None:
    """Match and offer the task; the event names the best worker first."""
    first = offers[0]
    tasks.match_task(task=task, actor=actor, at=at, data={"worker_id": str(first.worker_id)})
    data: dict[str, object] = {
        "offer_id": str(first.id),
        "worker_id": str(first.worker_id),
        "expires_at": format_time(first.expires_at),
    }
    if len(offers) > 1:
        data["offers"] = [
            {"offer_id": str(offer.id), "worker_id": str(offer.worker_id)} for offer in offers
        ]
    timers = [
        timer_upsert(
            organisation_id=task.organisation_id,
            kind=OFFER,
            subject_id=offer.id,
            due_at=offer.expires_at,
        )
        for offer in offers
    ]
    tasks.offer_task(task=task, actor=actor, at=at, data=data, also=[*map(Insert, offers), *timers])
