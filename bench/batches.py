"""Draw batches of tasks and workers, and assign them in several ways: for bench/matching.py."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np

from apps.matching.assignment import EligibleWorker, PendingTask, assign

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
POOL = UUID(int=1)


@dataclass(frozen=True)
class Scene:
    """Hold a batch. `scores` has rows of tasks and columns of workers; -1: not eligible."""

    tasks: Sequence[PendingTask]
    scores: "np.ndarray[tuple[int, int], np.dtype[np.float64]]"

    def totals(self) -> dict[str, float]:
        """Return the total score of each way to assign the batch."""
        rows = range(len(self.tasks))
        fewest_first = sorted(rows, key=lambda row: len(self.tasks[row].workers))
        assignments = assign(self.tasks, at=NOW)
        return {
            "ours": sum(assignment.score for assignment in assignments),
            "greedy by arrival": self._greedy(rows),
            "fewest fits first": self._greedy(fewest_first),
        }

    def _greedy(self, rows: Sequence[int]) -> float:
        """Assign each task to the best worker that is left. Return the total score."""
        left = self.scores.copy()
        total = 0.0
        for row in rows:
            column = int(left[row].argmax())
            if left[row, column] > 0:
                total += float(left[row, column])
                left[:, column] = -1
        return total


def scene(chance: random.Random, *, tasks: int, workers: int, fits: float) -> Scene:
    """Draw workers with one free unit each; `fits` is the share of pairs that fit."""
    since = [NOW - timedelta(minutes=chance.uniform(0, 480)) for _ in range(workers)]
    pending = []
    scores = np.full((tasks, workers), -1.0)
    for row in range(tasks):
        eligible = []
        for column in range(workers):
            if chance.random() >= fits:
                continue
            worker = EligibleWorker(
                UUID(int=1_000 + column),
                POOL,
                1,
                1,
                1,
                since[column],
                4.0,
                preferred=chance.choice((0, 0.5, 1)),
            )
            eligible.append(worker)
            scores[row, column] = worker.score(slot=0, at=NOW)
        pending.append(PendingTask(UUID(int=row), eligible))
    return Scene(pending, scores)
