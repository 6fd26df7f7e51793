"""Represent a batch: its tasks, the eligible workers read for them, and what is left out.

This module reads, and assigns by the rules of assignment.py. It also decides which tasks are
offered to several workers at once (`broadcast`). It locks and writes nothing: that is offering.py.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from apps.matching import task_queue
from apps.matching.assignment import (
    Assignment,
    EligibleWorker,
    PendingTask,
    RemainingCapacity,
    assign,
)
from apps.matching.eligible_workers import find_eligible_workers
from apps.matching.escalation_policy import Policy
from apps.matching.fair_share import MAX_BATCH
from apps.matching.task_queue import PastOffer, QueuedTask, last_offer
from apps.pools.models import OfferMode, Pool
from apps.tasks.models import Task

SPARE_WORKERS = 4
"""Read besides one worker for each task, to have a choice."""

REFUSED_RECHECK = timedelta(days=1)
"""When a task is looked at again that all eligible workers said they cannot do. Only another worker
changes that, and its membership opens."""

MAX_BROADCAST = 50
MAX_WORKERS = 2 * MAX_BATCH


@dataclass(frozen=True, slots=True)
class Deferred:
    """Describe a task that cannot be offered just now although workers fit it.

    They are in a cooldown until `until`, or another transaction has the worker or the task locked
    (None).
    """

    requirement_id: UUID
    until: datetime | None

    def has_ended(self, at: datetime) -> bool:
        """Return whether a cooldown is over."""
        return self.until is not None and self.until <= at


class Batch:
    """Hold queued tasks and the workers that are eligible for them.

    `compared_in`: memberships that opened after that snapshot are left out
    (parked_requirements.py).
    """

    def __init__(
        self,
        tasks: Sequence[QueuedTask],
        at: datetime,
        locked_workers: Collection[UUID] = (),
        compared_in: str | None = None,
    ) -> None:
        self.tasks = tasks
        self.at = at
        self.pending: dict[UUID, PendingTask] = {}
        # What other transactions have locked is left out.
        self.locked_tasks: set[UUID] = set()
        self.locked_workers = {*locked_workers}
        self.locked_pools: set[UUID] = set()
        self._compared_in = compared_in
        self._past_offers = task_queue.past_offers(task_ids=[task.task_id for task in tasks])
        # By requirement: how many workers were read at most, and those that were.
        self._limits: dict[UUID, int] = {}
        self._workers: dict[UUID, list[EligibleWorker]] = {}
        self._in_several_pools: set[UUID] = set()

    def assign(self) -> list[Assignment]:
        """Return the best assignments.

        While a task gets no worker and there were more workers to read, twice as many are read:
        what was left out must not decide.
        """
        tasks = [task for task in self.tasks if task.task_id not in self.locked_tasks]
        limits = self._first_limits(tasks)
        while True:
            self._read_workers(tasks, limits)
            self.pending = {task.task_id: self._pending(task) for task in tasks}
            assignments = assign(list(self.pending.values()), at=self.at)
            limits = {
                requirement: 2 * limit
                for requirement, limit in limits.items()
                if len(self._workers[requirement]) >= limit and limit < MAX_WORKERS
            }
            if not limits or len(assignments) == len(tasks):
                return assignments

    def leave_out(
        self,
        *,
        tasks: Collection[UUID] = (),
        workers: Collection[UUID] = (),
        pools: Collection[UUID] = (),
    ) -> None:
        """Leave these out of the next assignment: other transactions have them locked."""
        self.locked_tasks.update(tasks)
        self.locked_workers.update(workers)
        self.locked_pools.update(pools)

    @property
    def has_locked(self) -> bool:
        """Return whether rows were skipped because other transactions lock them."""
        return bool(self.locked_tasks or self.locked_workers or self.locked_pools)

    def unassigned(
        self, assignments: Sequence[Assignment]
    ) -> tuple[set[UUID], dict[UUID, Deferred]]:
        """Return the requirements without an eligible worker left, and the tasks to defer.

        A task that is in neither lost its workers to other tasks: the next batch reads whether
        there are more.
        """
        assigned = {assignment.task_id for assignment in assignments}
        served = {task.requirement_id for task in self.tasks if task.task_id in assigned}
        capacity = capacity_after(assignments)
        unmatched: set[UUID] = set()
        deferred: dict[UUID, Deferred] = {}
        for task in self.tasks:
            requirement = task.requirement_id
            if task.task_id in self.locked_tasks:
                deferred[task.task_id] = Deferred(requirement, until=None)
            elif requirement in served:
                continue
            elif not self._may_be_served(requirement, capacity):
                unmatched.add(requirement)
            elif not self.pending[task.task_id].workers:
                deferred[task.task_id] = Deferred(requirement, self._cooldown_ends_at(task))
        return unmatched, deferred

    def _first_limits(self, tasks: Iterable[QueuedTask]) -> dict[UUID, int]:
        limits: dict[UUID, int] = {}
        for task in tasks:
            limits.setdefault(task.requirement_id, SPARE_WORKERS)
            limits[task.requirement_id] += 1 + len(self._past_offers.get(task.task_id, ()))
            if task.is_escalated:
                limits[task.requirement_id] += MAX_BROADCAST
        return limits

    def _read_workers(self, tasks: Sequence[QueuedTask], limits: Mapping[UUID, int]) -> None:
        preferred = [task.preferred_worker_id for task in tasks if task.preferred_worker_id]
        eligible = find_eligible_workers(
            limits=limits,
            preferred_worker_ids=preferred,
            at=self.at,
            compared_in=self._compared_in,
        )
        self._limits |= limits
        self._workers |= eligible.workers
        self._in_several_pools |= eligible.in_several_pools

    def _pending(self, task: QueuedTask) -> PendingTask:
        workers = self._workers[task.requirement_id]
        if self.locked_workers or self.locked_pools:
            workers = [
                worker
                for worker in workers
                if worker.worker_id not in self.locked_workers
                and worker.pool_id not in self.locked_pools
            ]
        offerable = self._without_cooldown(workers, self._past_offers.get(task.task_id, ()))
        return PendingTask(task.task_id, offerable, task.preferred_worker_id)

    def _without_cooldown(
        self, workers: Sequence[EligibleWorker], past_offers: Sequence[PastOffer]
    ) -> list[EligibleWorker]:
        """Return the workers that the task was not offered to before.

        Where there are none, return the others, but the last one not before its cooldown ends, and
        not those who said that they cannot do it.
        """
        if not past_offers:
            return list(workers)
        before = {offer.worker_id for offer in past_offers}
        new = [worker for worker in workers if worker.worker_id not in before]
        if new:
            return new
        last = last_offer(past_offers)
        kept_out = _refusing(past_offers)
        if last.cooldown_ends_at > self.at:
            kept_out.add(last.worker_id)
        return [worker for worker in workers if worker.worker_id not in kept_out]

    def _may_be_served(self, requirement: UUID, capacity: RemainingCapacity) -> bool:
        """Return whether an eligible worker has capacity left, or one that was not read might."""
        workers = self._workers[requirement]
        if len(workers) >= self._limits[requirement] or requirement in self._in_several_pools:
            return True
        return any(map(capacity.has, workers))

    def _cooldown_ends_at(self, task: QueuedTask) -> datetime | None:
        """Return when the cooldown ends that keeps out all workers; None: they are locked."""
        past_offers = self._past_offers.get(task.task_id, ())
        if not past_offers:
            return None
        workers = self._workers[task.requirement_id]
        if self._without_cooldown(workers, past_offers):
            return None
        if _refusing(past_offers).issuperset(worker.worker_id for worker in workers):
            return self.at + REFUSED_RECHECK
        return last_offer(past_offers).cooldown_ends_at


def _refusing(past_offers: Iterable[PastOffer]) -> set[UUID]:
    """Return the workers who said that they cannot do the task."""
    return {offer.worker_id for offer in past_offers if offer.is_refused}


def capacity_after(assignments: Iterable[Assignment]) -> RemainingCapacity:
    """Return the capacity that the assignments leave."""
    capacity = RemainingCapacity()
    for assignment in assignments:
        capacity.take(assignment.worker)
    return capacity


def pools_of(assignments: Iterable[Assignment], tasks: Iterable[Task]) -> dict[UUID, Pool]:
    """Return the pools of the assigned workers, and those whose policies apply to the tasks."""
    own = {task.pool_id for task in tasks if task.pool_id is not None}
    return Pool.objects.in_bulk(own | {assignment.worker.pool_id for assignment in assignments})


def broadcast(
    assignments: Sequence[Assignment],
    batch: Batch,
    tasks: Mapping[UUID, Task],
    pools: Mapping[UUID, Pool],
) -> list[Assignment]:
    """Return the further workers of tasks that are offered to several workers at once."""
    capacity = capacity_after(assignments)
    further: list[Assignment] = []
    for assignment in assignments:
        pool = pools[assignment.worker.pool_id]
        count = _offers_at_once(tasks[assignment.task_id], pool, pools) - 1
        for worker in batch.pending[assignment.task_id].workers:
            if not count:
                break
            is_another = worker is not assignment.worker and worker.pool_id == pool.id
            if is_another and capacity.take(worker):
                score = worker.score(slot=0, at=batch.at)
                further.append(Assignment(assignment.task_id, worker, score))
                count -= 1
    return further


def _offers_at_once(task: Task, pool: Pool, pools: Mapping[UUID, Pool]) -> int:
    """Return to how many workers of `pool` the task is offered at the same time.

    The escalation steps that were taken decide, by the task's policy or that of its own pool, and
    else `pool` does.
    """
    own = None if task.pool_id is None else pools[task.pool_id].escalation
    mode, broadcast_to = Policy.of(task.escalation, own).offer_mode(task.escalation_step)
    is_broadcast = (mode or pool.offer_mode) == OfferMode.BROADCAST
    return (broadcast_to or pool.broadcast_to) if is_broadcast else 1
