"""Who gets what, when several tasks wait and several workers are free. Pure rules over values.

Two wishes, in this order:

1. Nobody is overtaken: the tasks that get somebody are the earliest that can. Taking them one after
   the other, each by an augmenting path (Kuhn, 1955), finds that set: who got somebody keeps somebody,
   though it may be another one.
2. The workers fit well: among all ways to serve just those tasks the one of the highest total score
   is taken (`scipy.optimize.linear_sum_assignment`, Jonker and Volgenant's algorithm). Greedy choice
   in order of arrival gives away a fifth of it.

Both count places, which is exact while all tasks of a worker cost the same. Where they do not, the choices
are gone through in order once more: whoever finds its worker full has first pick of what is left beside
those before it.
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
FIRST_CHOICE_POINTS = 1_000_000.0
NOBODY = -1e12
FEW_SLOTS, MOST_SLOTS = 2, 8
"""A worker gets at most so many tasks out of one batch: more only where somebody would get nobody."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker that fits a signature, as it stood when it was looked at."""

    worker_id: UUID
    pool_id: UUID
    # What the task takes of its capacity, how much of that is free, and how much there is in all.
    units: int
    free: int
    capacity: int
    waiting_since: datetime
    rating: float
    # How many offers more its pool lets it be made for now; None: any number.
    offers_left: int | None = None
    # Share of the preferred skills that it has: 0 to 1.
    preferred: float = 0.0

    @property
    def places(self) -> int:
        """How many such tasks it could be offered."""
        places = self.free // self.units
        return places if self.offers_left is None else min(places, self.offers_left)

    def score(self, *, slot: int, at: datetime) -> float:
        """How good a choice it is for its `slot`-th task of a batch.

        Points are apart by orders of magnitude, so that they rank as the rules are written: preferred
        skills, then load (in steps of 1 %), then the time since its last completed work, then rating.
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
class Demand:
    """A task that waits, and who may be asked: the best first."""

    task_id: UUID
    seats: Sequence[Seat]
    # Whoever did it before is asked first.
    first_choice: UUID | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    task_id: UUID
    seat: Seat
    score: float


def assign(demands: Sequence[Demand], *, at: datetime) -> list[Choice]:
    """Somebody for as many of the demands, which come in their order, as can have somebody."""
    for most in FEW_SLOTS, MOST_SLOTS:
        slots = _Slots(demands, most)
        served = _served(slots.open_to)
        if len(served) == len(demands):
            break
    best = _best([demands[row] for row in served], [slots.open_to[row] for row in served], at)
    return _in_order(demands, {choice.task_id: choice for choice in best}, at)


def load_assignment() -> None:
    """Import what `assign` needs."""
    from scipy.optimize import linear_sum_assignment  # type: ignore[attr-defined]  # noqa: F401


class _Slots:
    """Each worker as one column for each task that it could take out of this batch."""

    def __init__(self, demands: Sequence[Demand], most: int) -> None:
        self._of: dict[UUID, range] = {}
        self._count = 0
        self._most = most
        # Of each demand the columns in which it could be served; `most` or fewer for each seat.
        self.open_to = [[self._columns(seat) for seat in demand.seats] for demand in demands]

    def _columns(self, seat: Seat) -> range:
        known = self._of.get(seat.worker_id)
        if known is None:
            first = self._count
            self._count += min(self._most, seat.places)
            known = self._of[seat.worker_id] = range(first, self._count)
        return known


def _served(open_to: Sequence[Sequence[range]]) -> list[int]:
    """The rows that get somebody: each that can, without one before it losing out."""
    taken_by: dict[int, int] = {}

    def find(row: int, seen: set[int]) -> bool:
        for column in itertools.chain.from_iterable(open_to[row]):
            if column in seen:
                continue
            seen.add(column)
            if column not in taken_by or find(taken_by[column], seen):
                taken_by[column] = row
                return True
        return False

    return [row for row in range(len(open_to)) if find(row, set())]


def _best(
    demands: Sequence[Demand], open_to: Sequence[Sequence[range]], at: datetime
) -> list[Choice]:
    """All of the demands, which can be served together, with the highest total score."""
    if not demands:
        return []
    import numpy as np
    from scipy.optimize import linear_sum_assignment  # type: ignore[attr-defined]

    width = 1 + max(columns[-1] for row in open_to for columns in row)
    scores = np.full((len(demands), width), NOBODY)
    seats: list[dict[int, Seat]] = []
    # Tasks of one signature share their seats.
    points_of: dict[int, list[float]] = {}
    for row, demand in enumerate(demands):
        fits: dict[int, Seat] = {}
        for seat, columns in zip(demand.seats, open_to[row], strict=True):
            points = points_of.get(id(seat))
            if points is None:
                points = [seat.score(slot=slot, at=at) for slot in range(len(columns))]
                points_of[id(seat)] = points
            extra = FIRST_CHOICE_POINTS if seat.worker_id == demand.first_choice else 0.0
            for column, score in zip(columns, points, strict=True):
                scores[row, column] = extra + score
                fits[column] = seat
        seats.append(fits)
    rows, columns_taken = linear_sum_assignment(scores, maximize=True)
    return [
        Choice(demands[row].task_id, seats[row][column], float(scores[row, column]))
        for row, column in zip(rows.tolist(), columns_taken.tolist(), strict=True)
    ]


def _in_order(demands: Sequence[Demand], best: Mapping[UUID, Choice], at: datetime) -> list[Choice]:
    """The best choices as far as there is room, and for the others whoever has some left."""
    room = Room()
    choices: list[Choice] = []
    for demand in demands:
        choice = best.get(demand.task_id)
        if choice is not None and room.take(choice.seat):
            choices.append(choice)
        elif seat := next((seat for seat in demand.seats if room.take(seat)), None):
            choices.append(Choice(demand.task_id, seat, seat.score(slot=0, at=at)))
    return choices


class Room:
    """What is left of the workers when some of a batch was given to them."""

    def __init__(self) -> None:
        self._units: dict[UUID, int] = {}
        self._offers: dict[UUID, int] = {}

    def has(self, seat: Seat) -> bool:
        """Whether the seat's worker could be offered one more."""
        units = seat.free - self._units.get(seat.worker_id, 0)
        offers = self._offers.get(seat.worker_id, 0)
        return units >= seat.units and (seat.offers_left is None or offers < seat.offers_left)

    def take(self, seat: Seat) -> bool:
        """Offer the seat's worker one more; False where there is no room."""
        if not self.has(seat):
            return False
        self._units[seat.worker_id] = self._units.get(seat.worker_id, 0) + seat.units
        self._offers[seat.worker_id] = self._offers.get(seat.worker_id, 0) + 1
        return True
