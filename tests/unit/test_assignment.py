"""Assign a batch: no task is overtaken, and the total score is as high as it can be."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from apps.matching.assignment import Assignment, EligibleWorker, PendingTask, assign

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
POOL = UUID(int=1)


def worker(number: int, *, free: int = 1, units: int = 1, **traits: float) -> EligibleWorker:
    since = NOW - timedelta(minutes=traits.pop("waited", 60))
    rating = traits.pop("rating", 4.0)
    return EligibleWorker(
        UUID(int=number), POOL, units, free, max(free, 4), since, rating, **traits
    )


def pending(number: int, *workers: EligibleWorker, preferred: int | None = None) -> PendingTask:
    first = None if preferred is None else UUID(int=preferred)
    return PendingTask(UUID(int=number), workers, first)


def pairs(assignments: list[Assignment]) -> dict[int, int]:
    return {assignment.task_id.int: assignment.worker.worker_id.int for assignment in assignments}


def test_ranking__is_as_the_rules_are_written() -> None:
    """Preferred skills, then load, then the longest wait, then rating."""
    worse_and_better = [
        (worker(1, free=4), worker(2, free=1, preferred=0.5)),
        (worker(1, free=2, waited=600), worker(2, free=3)),
        (worker(1, waited=30, rating=5.0), worker(2, waited=90, rating=3.0)),
        (worker(1, rating=3.0), worker(2, rating=4.0)),
    ]
    for worse, better in worse_and_better:
        assert pairs(assign([pending(7, worse, better)], at=NOW)) == {7: 2}


def test_preferred_worker__goes_before_all_others() -> None:
    assert pairs(
        assign([pending(7, worker(1, preferred=1.0), worker(2), preferred=2)], at=NOW)
    ) == {7: 2}


def test_an_earlier_task__is_served_though_a_later_one_fits_better() -> None:
    only = worker(1, preferred=0.0)
    assert pairs(assign([pending(7, only), pending(8, worker(1, preferred=1.0))], at=NOW)) == {7: 1}


def test_an_earlier_task__takes_another_worker_where_a_later_one_needs_its_own() -> None:
    """The first could have either worker, the second only one: both are served."""
    both = assign([pending(7, worker(1, preferred=1.0), worker(2)), pending(8, worker(1))], at=NOW)
    assert pairs(both) == {7: 2, 8: 1}


def test_capacity__is_never_exceeded() -> None:
    assignments = assign([pending(number, worker(1, free=3)) for number in range(5)], at=NOW)
    assert pairs(assignments) == {0: 1, 1: 1, 2: 1}
    dear = [pending(number, worker(1, free=3, units=2)) for number in range(5)]
    assert pairs(assign(dear, at=NOW)) == {0: 1}


def test_a_worker_with_capacity_left__takes_more_when_no_other_worker_does() -> None:
    assignments = assign([pending(number, worker(1, free=6)) for number in range(6)], at=NOW)
    assert len(assignments) == 6


COSTS = [((1, 4), (2, 3)), ((1, 3), (2, 3)), ((1, 4), (2, 4)), ((1, 2), (2, 2))]


@pytest.mark.parametrize("workers", COSTS)
@pytest.mark.parametrize("count", [3, 4, 5])
def test_no_task_is_overtaken__by_cheaper_ones(
    workers: tuple[tuple[int, int], ...], count: int
) -> None:
    """A task without a worker fits no worker beside the tasks before it, as they were assigned."""
    for units in itertools.product((1, 2, 3), repeat=count):
        by_cost = {
            (number, cost): worker(number, free=free, units=cost)
            for (number, free), cost in itertools.product(workers, {*units})
        }
        tasks = [
            pending(100 + row, *(by_cost[number, cost] for number, free in workers if free >= cost))
            for row, cost in enumerate(units)
        ]
        chosen = pairs(assign(tasks, at=NOW))
        left = dict(workers)
        for row, cost in enumerate(units):
            assigned = chosen.get(100 + row)
            if assigned is None:
                assert all(free < cost for free in left.values()), (units, chosen)
            else:
                left[assigned] -= cost
        assert min(left.values()) >= 0


@st.composite
def batches(draw: st.DrawFn) -> list[PendingTask]:
    workers = [
        worker(number, free=draw(st.integers(1, 3)), waited=draw(st.integers(0, 500)))
        for number in range(draw(st.integers(1, 8)))
    ]
    return [
        pending(100 + number, *draw(st.lists(st.sampled_from(workers), unique=True)))
        for number in range(draw(st.integers(1, 10)))
    ]


def most_served(tasks: list[PendingTask]) -> int:
    """Return how many can be served together, by an independent solver."""
    columns = [
        (one.worker_id, slot)
        for one in {fit.worker_id: fit for task in tasks for fit in task.workers}.values()
        for slot in range(one.free)
    ]
    fits = np.zeros((len(tasks), max(1, len(columns))))
    for row, task in enumerate(tasks):
        fitting = {one.worker_id for one in task.workers}
        for column, (worker_id, _) in enumerate(columns):
            fits[row, column] = worker_id in fitting
    rows, taken = linear_sum_assignment(fits, maximize=True)
    return int(fits[rows, taken].sum())


@given(batches())
def test_no_task_is_overtaken(tasks: list[PendingTask]) -> None:
    """The served tasks are the lexicographically first set that can be: each task gets a worker if
    it can together with the served tasks before it.
    """
    served = {assignment.task_id for assignment in assign(tasks, at=NOW)}
    kept: list[PendingTask] = []
    for one in tasks:
        if most_served([*kept, one]) == len(kept) + 1:
            kept.append(one)
    assert served == {one.task_id for one in kept}


@given(batches())
def test_every_assignment_fits_and_no_slot_is_taken_twice(tasks: list[PendingTask]) -> None:
    by_id = {one.task_id: one for one in tasks}
    taken: dict[UUID, int] = {}
    for assignment in assign(tasks, at=NOW):
        assert assignment.worker in by_id[assignment.task_id].workers
        taken[assignment.worker.worker_id] = taken.get(assignment.worker.worker_id, 0) + 1
        assert taken[assignment.worker.worker_id] <= assignment.worker.free


@pytest.mark.parametrize("seed", range(5))
def test_the_total_score__is_the_optimum_where_all_can_be_served(seed: int) -> None:
    chance = random.Random(seed)
    workers = [
        worker(number, waited=chance.uniform(0, 500), preferred=chance.choice((0.0, 0.5, 1.0)))
        for number in range(60)
    ]
    tasks = [pending(100 + row, *chance.sample(workers, 30)) for row in range(40)]
    assignments = assign(tasks, at=NOW)
    assert len(assignments) == len(tasks)
    scores = np.full((40, 60), -1e9)
    for row, one in enumerate(tasks):
        for fit in one.workers:
            scores[row, fit.worker_id.int] = fit.score(slot=0, at=NOW)
    rows, columns = linear_sum_assignment(scores, maximize=True)
    assert sum(assignment.score for assignment in assignments) == pytest.approx(
        scores[rows, columns].sum()
    )
