"""Batches of tasks and workers by chance, and ways to choose among them: for bench/matching.py."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np

from apps.matching.assignment import Demand, Seat, assign

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
POOL = UUID(int=1)


@dataclass(frozen=True)
class Scene:
    """`scores` has a row for each task and a column for each worker; -1 where it does not fit."""

    demands: Sequence[Demand]
    scores: "np.ndarray[tuple[int, int], np.dtype[np.float64]]"

    def totals(self) -> dict[str, float]:
        rows = range(len(self.demands))
        fewest_first = sorted(rows, key=lambda row: len(self.demands[row].seats))
        chosen = assign(self.demands, at=NOW)
        return {
            "ours": sum(choice.score for choice in chosen),
            "greedy by arrival": self._greedy(rows),
            "fewest fits first": self._greedy(fewest_first),
        }

    def _greedy(self, rows: Sequence[int]) -> float:
        """Each takes the best that is left."""
        left = self.scores.copy()
        total = 0.0
        for row in rows:
            column = int(left[row].argmax())
            if left[row, column] > 0:
                total += float(left[row, column])
                left[:, column] = -1
        return total


def scene(chance: random.Random, *, tasks: int, workers: int, fits: float) -> Scene:
    """Workers with one free place each; each pair fits by chance, and suits more or less."""
    since = [NOW - timedelta(minutes=chance.uniform(0, 480)) for _ in range(workers)]
    demands = []
    scores = np.full((tasks, workers), -1.0)
    for row in range(tasks):
        seats = []
        for column in range(workers):
            if chance.random() >= fits:
                continue
            seat = Seat(
                UUID(int=1_000 + column),
                POOL,
                1,
                1,
                1,
                since[column],
                4.0,
                preferred=chance.choice((0, 0.5, 1)),
            )
            seats.append(seat)
            scores[row, column] = seat.score(slot=0, at=NOW)
        demands.append(Demand(UUID(int=row), seats))
    return Scene(demands, scores)
