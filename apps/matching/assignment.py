"""Assign tasks to workers, when several tasks are queued and several workers are free.

Pure rules over values: which task gets which worker. services/batch.py reads the values, and
services/offering.py locks and writes the result. Two aims, in this order:

1. No task is overtaken: the tasks that get a worker are the earliest that can. Taking them one
   after the other, each by an augmenting path (Kuhn, 1955), finds that set: a task that has a
   worker keeps one, though it may be another.
2. The workers fit well: of all ways to serve just those tasks, take the one with the highest total
   score (`scipy.optimize.linear_sum_assignment`, the algorithm of Jonker and Volgenant). Greedy
   choice in order of arrival loses a fifth of it.

Both count slots, which is exact while all tasks take the same units of a worker. Where they do not,
go through the assignments in order once more: a task whose worker is full by then gets the best of
the workers with capacity left beside the tasks before it.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

PREFERRED_POINTS = 10_000.0
FREE_POINTS = 100.0
WAITING_HALF_SECONDS = 3_600.0
RATING_POINTS = 0.01
PREFERRED_WORKER_POINTS = 1_000_000.0
NOT_ELIGIBLE = -1e12
FEW_SLOTS, MAX_SLOTS = 2, 8
"""The most tasks of one batch for a worker; the second only where a task would get no worker."""


@dataclass(frozen=True, slots=True)
class EligibleWorker:
    """Describe a worker that is eligible for a requirement, as its membership was when read."""

    worker_id: UUID
    pool_id: UUID
    # Units of its capacity that a task takes, how many of them are free, and how many there are.
    units: int
    free: int
    capacity: int
    waiting_since: datetime
    rating: float
    # How many more offers its pool allows now; None: any number.
    offers_left: int | None = None
    # Share of the preferred skills that it has: 0 to 1.
    preferred: float = 0.0

    @property
    def slots(self) -> int:
        """Return how many such tasks the worker could be offered."""
        slots = self.free // self.units
        return slots if self.offers_left is None else min(slots, self.offers_left)

    def score(self, *, slot: int, at: datetime) -> float:
        """Return how good a choice the worker is for its `slot`-th task of a batch, from 0.

        The points of each rule are smaller than those of the one before by orders of magnitude, so
        that they rank one after the other: preferred skills, then load (in steps of 1 %), then the
        time since it last submitted work, then rating.
        """
        free_share = max(0.0, (self.free - self.units * (slot + 1)) / self.capacity)
        waited = max(0.0, (at - self.waiting_since).total_seconds())
        return (
            self.preferred * PREFERRED_POINTS
            + round(free_share, 2) * FREE_POINTS
            + 0.9 * waited / (waited + WAITING_HALF_SECONDS)
            + self.rating / 5 * RATING_POINTS
        )


@dataclass(frozen=True, slots=True)
class PendingTask:
    """Describe a task to assign, and the workers that it may be offered to, in ranking order."""

    task_id: UUID
    workers: Sequence[EligibleWorker]
    # A worker who did the task before goes before all others.
    preferred_worker_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """Assign a task to a worker."""

    task_id: UUID
    worker: EligibleWorker
    score: float


def assign(tasks: Sequence[PendingTask], *, at: datetime) -> list[Assignment]:
    """Assign as many of the tasks, which come in queue order, as can have a worker."""
    for max_slots in FEW_SLOTS, MAX_SLOTS:
        slots = _Slots(tasks, max_slots)
        served = _served(slots.of_tasks)
        if len(served) == len(tasks):
            break
    best = _best([tasks[row] for row in served], [slots.of_tasks[row] for row in served], at)
    return _in_order(tasks, {assignment.task_id: assignment for assignment in best}, at)


def load_assignment() -> None:
    """Import what `assign` needs."""
    from scipy.optimize import linear_sum_assignment  # type: ignore[attr-defined]  # noqa: F401


class _Slots:
    """Number the slots of all workers: one for each task of this batch that a worker could take."""

    def __init__(self, tasks: Sequence[PendingTask], max_slots: int) -> None:
        self._by_worker: dict[UUID, range] = {}
        self._count = 0
        self._max_slots = max_slots
        # For each task, the slots of each of its workers.
        self.of_tasks = [[self._of(worker) for worker in task.workers] for task in tasks]

    def _of(self, worker: EligibleWorker) -> range:
        slots = self._by_worker.get(worker.worker_id)
        if slots is None:
            first = self._count
            self._count += min(self._max_slots, worker.slots)
            slots = self._by_worker[worker.worker_id] = range(first, self._count)
        return slots


def _served(slots: Sequence[Sequence[range]]) -> list[int]:
    """Return the rows of tasks that get a worker: each that can, unless an earlier one loses."""
    taken_by: dict[int, int] = {}

    def find(row: int, visited: set[int]) -> bool:
        for slot in itertools.chain.from_iterable(slots[row]):
            if slot in visited:
                continue
            visited.add(slot)
            if slot not in taken_by or find(taken_by[slot], visited):
                taken_by[slot] = row
                return True
        return False

    return [row for row in range(len(slots)) if find(row, set())]


def _best(
    tasks: Sequence[PendingTask], slots: Sequence[Sequence[range]], at: datetime
) -> list[Assignment]:
    """Assign all of the tasks, which can be served together, with the highest total score."""
    if not tasks:
        return []
    import numpy as np
    from scipy.optimize import linear_sum_assignment  # type: ignore[attr-defined]

    width = 1 + max(of_worker[-1] for row in slots for of_worker in row)
    scores = np.full((len(tasks), width), NOT_ELIGIBLE)
    workers: list[dict[int, EligibleWorker]] = []
    # Tasks of one requirement share their workers.
    points_of: dict[int, list[float]] = {}
    for row, task in enumerate(tasks):
        by_slot: dict[int, EligibleWorker] = {}
        for worker, of_worker in zip(task.workers, slots[row], strict=True):
            points = points_of.get(id(worker))
            if points is None:
                points = [worker.score(slot=number, at=at) for number in range(len(of_worker))]
                points_of[id(worker)] = points
            extra = PREFERRED_WORKER_POINTS if worker.worker_id == task.preferred_worker_id else 0.0
            for slot, score in zip(of_worker, points, strict=True):
                scores[row, slot] = extra + score
                by_slot[slot] = worker
        workers.append(by_slot)
    rows, taken = linear_sum_assignment(scores, maximize=True)
    return [
        Assignment(tasks[row].task_id, workers[row][slot], float(scores[row, slot]))
        for row, slot in zip(rows.tolist(), taken.tolist(), strict=True)
    ]


def _in_order(
    tasks: Sequence[PendingTask], best: Mapping[UUID, Assignment], at: datetime
) -> list[Assignment]:
    """Return the best assignments that capacity allows; other tasks get a worker with some left."""
    capacity = RemainingCapacity()
    assignments: list[Assignment] = []
    for task in tasks:
        assignment = best.get(task.task_id)
        if assignment is not None and capacity.take(assignment.worker):
            assignments.append(assignment)
        elif worker := next((one for one in task.workers if capacity.take(one)), None):
            assignments.append(Assignment(task.task_id, worker, worker.score(slot=0, at=at)))
    return assignments


class RemainingCapacity:
    """Count what is left of the workers' capacity and offers while tasks are assigned to them."""

    def __init__(self) -> None:
        self._units: dict[UUID, int] = {}
        self._offers: dict[UUID, int] = {}

    def has(self, worker: EligibleWorker) -> bool:
        """Return whether the worker could be offered one more task."""
        units = worker.free - self._units.get(worker.worker_id, 0)
        offers = self._offers.get(worker.worker_id, 0)
        return units >= worker.units and (worker.offers_left is None or offers < worker.offers_left)

    def take(self, worker: EligibleWorker) -> bool:
        """Count one more task of the worker. Return False, and count nothing, where it is full."""
        if not self.has(worker):
            return False
        self._units[worker.worker_id] = self._units.get(worker.worker_id, 0) + worker.units
        self._offers[worker.worker_id] = self._offers.get(worker.worker_id, 0) + 1
        return True
