"""Running a drain until there is nothing due, or its time is up."""

import time
from collections.abc import Callable

BUDGET_SECONDS = 30.0
"""A job that has drained for so long ends; the ticker wakes the next within a second."""


def drain(step: Callable[[], int], *, budget_seconds: float = BUDGET_SECONDS) -> int:
    """Call `step` until it answers 0 (nothing was due) or the budget is spent; the sum of answers."""
    ends = time.monotonic() + budget_seconds
    total = 0
    while time.monotonic() < ends:
        done = step()
        if not done:
            break
        total += done
    return total
