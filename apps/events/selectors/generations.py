"""In which life of the cluster a place in the feed was told of (see `models.Generation`)."""

import time
from dataclasses import dataclass, field

from apps.events.models import Generation
from apps.events.selectors.feed import Position

KNOWN_FOR_SECONDS = 5.0
"""A process may learn of a new generation so late: until then it seals cursors of the old one, which are
taken back as any of it."""


@dataclass(slots=True)
class _Generations:
    """What the table has, read every few seconds."""

    _begins: dict[int, int] = field(default_factory=dict)
    _read_at: float = float("-inf")

    def begins(self) -> dict[int, int]:
        """Number -> the first place that may have been told of differently before."""
        if time.monotonic() > self._read_at + KNOWN_FOR_SECONDS:
            self._begins = dict(Generation.objects.values_list("number", "begins_at_xid"))
            self._read_at = time.monotonic()
        return self._begins

    def forget(self) -> None:
        self._read_at = float("-inf")


_generations = _Generations()
forget_generations = _generations.forget


def generation() -> int:
    """Return the number of the present generation."""
    return max(_generations.begins(), default=0)


def taken_back(position: Position, *, of_generation: int) -> Position:
    """Return where to read on from a place of an earlier generation: never behind an event that its
    reader has not seen. What lies between is told once more.
    """
    begins = _generations.begins()
    later = [xid for number, xid in begins.items() if number > of_generation]
    return min(position, Position(min(later), 0)) if later else position
