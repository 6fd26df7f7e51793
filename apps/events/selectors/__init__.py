"""Reading the log: one task's, or an organisation's as a feed; and who reads along."""

from apps.events.selectors.consumers import Lag, consumer, consumers, lags, named, place_of
from apps.events.selectors.feed import (
    BEGINNING,
    FEED_TYPES,
    Position,
    Stirred,
    Stretch,
    horizon,
    stirred,
    stretch,
    type_problem,
    types_for,
)
from apps.events.selectors.log import facts, of_task, shown

__all__ = [
    "BEGINNING",
    "FEED_TYPES",
    "Lag",
    "Position",
    "Stirred",
    "Stretch",
    "consumer",
    "consumers",
    "facts",
    "horizon",
    "lags",
    "named",
    "of_task",
    "place_of",
    "shown",
    "stirred",
    "stretch",
    "type_problem",
    "types_for",
]
