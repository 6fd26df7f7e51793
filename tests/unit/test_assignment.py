"""The choice of a batch: nobody is overtaken, and the whole is as good as it can be."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from apps.matching.assignment import Choice, Demand, Seat, assign

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
POOL = UUID(int=1)


def seat(number: int, *, free: int = 1, units: int = 1, **traits: float) -> Seat:
    since = NOW - timedelta(minutes=traits.pop("waited", 60))
    rating = traits.pop("rating", 4.0)
    return Seat(UUID(int=number), POOL, units, free, max(free, 4), since, rating, **traits)


def demand(number: int, *seats: Seat, first_choice: int | None = None) -> Demand:
    first = None if first_choice is None else UUID(int=first_choice)
    return Demand(UUID(int=number), seats, first)


def pairs(choices: list[Choice]) -> dict[int, int]:
    return {choice.task_id.int: choice.seat.worker_id.int for choice in choices}


def test_ranking__is_as_the_rules_are_written() -> None:
    """Preferred skills, then load, then the longest wait, then rating."""
    worse_and_better = [
        (seat(1, free=4), seat(2, free=1, preferred=0.5)),
        (seat(1, free=2, waited=600), seat(2, free=3)),
        (seat(1, waited=30, rating=5.0), seat(2, waited=90, rating=3.0)),
        (seat(1, rating=3.0), seat(2, rating=4.0)),
    ]
    for worse, better in worse_and_better:
        assert pairs(assign([demand(7, worse, better)], at=NOW)) == {7: 2}


def test_whoever_did_it_before__is_asked_first() -> None:
    assert pairs(assign([demand(7, seat(1, preferred=1.0), seat(2), first_choice=2)], at=NOW)) == {
        7: 2
    }


def test_an_earlier_task__is_served_though_a_later_one_fits_better() -> None:
    only = seat(1, preferred=0.0)
    assert pairs(assign([demand(7, only), demand(8, seat(1, preferred=1.0))], at=NOW)) == {7: 1}


def test_an_earlier_task__makes_room_when_it_can() -> None:
    """The first could have either worker, the second only one: both are served."""
    both = assign([demand(7, seat(1, preferred=1.0), seat(2)), demand(8, seat(1))], at=NOW)
    assert pairs(both) == {7: 2, 8: 1}


def test_capacity__is_never_exceeded() -> None:
    choices = assign([demand(number, seat(1, free=3)) for number in range(5)], at=NOW)
    assert pairs(choices) == {0: 1, 1: 1, 2: 1}
    dear = [demand(number, seat(1, free=3, units=2)) for number in range(5)]
    assert pairs(assign(dear, at=NOW)) == {0: 1}


def test_a_worker_with_room__takes_more_when_nobody_else_does() -> None:
    choices = assign([demand(number, seat(1, free=6)) for number in range(6)], at=NOW)
    assert len(choices) == 6


COSTS = [((1, 4), (2, 3)), ((1, 3), (2, 3)), ((1, 4), (2, 4)), ((1, 2), (2, 2))]


@pytest.mark.parametrize("workers", COSTS)
@pytest.mark.parametrize("count", [3, 4, 5])
def test_nobody_is_overtaken__by_cheaper_ones(
    workers: tuple[tuple[int, int], ...], count: int
) -> None:
    """A task that gets nobody fits none beside those before it, as they were placed."""
    for units in itertools.product((1, 2, 3), repeat=count):
        seats = {
            (number, cost): seat(number, free=free, units=cost)
            for (number, free), cost in itertools.product(workers, {*units})
        }
        demands = [
            demand(100 + row, *(seats[number, cost] for number, free in workers if free >= cost))
            for row, cost in enumerate(units)
        ]
        chosen = pairs(assign(demands, at=NOW))
        left = dict(workers)
        for row, cost in enumerate(units):
            given = chosen.get(100 + row)
            if given is None:
                assert all(room < cost for room in left.values()), (units, chosen)
            else:
                left[given] -= cost
        assert min(left.values()) >= 0


@st.composite
def batches(draw: st.DrawFn) -> list[Demand]:
    workers = [
        seat(number, free=draw(st.integers(1, 3)), waited=draw(st.integers(0, 500)))
        for number in range(draw(st.integers(1, 8)))
    ]
    return [
        demand(100 + number, *draw(st.lists(st.sampled_from(workers), unique=True)))
        for number in range(draw(st.integers(1, 10)))
    ]


def most_served(demands: list[Demand]) -> int:
    """How many can be served together, by an independent solver."""
    columns = [
        (one.worker_id, slot)
        for one in {seat.worker_id: seat for d in demands for seat in d.seats}.values()
        for slot in range(one.free)
    ]
    fits = np.zeros((len(demands), max(1, len(columns))))
    for row, wanted in enumerate(demands):
        who = {one.worker_id for one in wanted.seats}
        for column, (worker_id, _) in enumerate(columns):
            fits[row, column] = worker_id in who
    rows, taken = linear_sum_assignment(fits, maximize=True)
    return int(fits[rows, taken].sum())


@given(batches())
def test_nobody_is_overtaken(demands: list[Demand]) -> None:
    """Who is served is the lexicographically first set that can be: each task gets somebody if it can
    together with those before it that got somebody.
    """
    served = {choice.task_id for choice in assign(demands, at=NOW)}
    kept: list[Demand] = []
    for one in demands:
        if most_served([*kept, one]) == len(kept) + 1:
            kept.append(one)
    assert served == {one.task_id for one in kept}


@given(batches())
def test_every_choice_fits_and_no_place_is_taken_twice(demands: list[Demand]) -> None:
    by_id = {one.task_id: one for one in demands}
    taken: dict[UUID, int] = {}
    for choice in assign(demands, at=NOW):
        assert choice.seat in by_id[choice.task_id].seats
        taken[choice.seat.worker_id] = taken.get(choice.seat.worker_id, 0) + 1
        assert taken[choice.seat.worker_id] <= choice.seat.free


@pytest.mark.parametrize("seed", range(5))
def test_the_total_score__is_the_optimum_where_all_can_be_served(seed: int) -> None:
    chance = random.Random(seed)
    workers = [
        seat(number, waited=chance.uniform(0, 500), preferred=chance.choice((0.0, 0.5, 1.0)))
        for number in range(60)
    ]
    demands = [demand(100 + row, *chance.sample(workers, 30)) for row in range(40)]
    choices = assign(demands, at=NOW)
    assert len(choices) == len(demands)
    scores = np.full((40, 60), -1e9)
    for row, one in enumerate(demands):
        for fit in one.seats:
            scores[row, fit.worker_id.int] = fit.score(slot=0, at=NOW)
    rows, columns = linear_sum_assignment(scores, maximize=True)
    assert sum(choice.score for choice in choices) == pytest.approx(scores[rows, columns].sum())
