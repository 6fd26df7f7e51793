"""Relate positions in the feed to the generations of the cluster (see `models.Generation`)."""

import time
from dataclasses import dataclass, field

from apps.events.models import Generation
from apps.events.selectors.feed import Position

# How late a process may notice a new generation. Until then it seals cursors of the old generation,
# which are rewound as others of it are.
CACHE_SECONDS = 5.0


@dataclass(slots=True)
class _Generations:
    """Cache the generations' table for a few seconds."""

    _begins: dict[int, int] = field(default_factory=dict)
    _read_at: float = float("-inf")

    def begins(self) -> dict[int, int]:
        """Return number -> the first position whose events may differ from those before."""
        if time.monotonic() > self._read_at + CACHE_SECONDS:
            self._begins = dict(Generation.objects.values_list("number", "begins_at_xid"))
            self._read_at = time.monotonic()
        return self._begins

    def clear(self) -> None:
        self._read_at = float("-inf")


_generations = _Generations()
clear_generation_cache = _generations.clear


def current_generation() -> int:
    """Return the number of the present generation."""
    return max(_generations.begins(), default=0)


def rewound(position: Position, *, of_generation: int) -> Position:
    """Return from where to continue after a position of an earlier generation.

    Never behind an event that the reader has not seen; events in between are delivered again.
    """
    begins = _generations.begins()
    later = [xid for number, xid in begins.items() if number > of_generation]
    return min(position, Position(min(later), 0)) if later else position
