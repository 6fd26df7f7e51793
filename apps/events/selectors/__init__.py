"""Reading the log: one task's, or an organisation's as a feed; and who reads along."""

from apps.events.selectors.consumers import (
    MOST_COUNTED,
    Lag,
    ahead,
    consumer,
    consumers,
    lags,
    named,
    place_of,
)
from apps.events.selectors.feed import (
    BEGINNING,
    FEED_TYPES,
    HorizonHolder,
    Position,
    Stirred,
    Stretch,
    horizon,
    horizon_holder,
    stirred,
    stretch,
    type_problem,
    types_for,
)
from apps.events.selectors.generations import forget_generations, generation, taken_back
from apps.events.selectors.log import facts, of_task

__all__ = [
    "BEGINNING",
    "FEED_TYPES",
    "MOST_COUNTED",
    "HorizonHolder",
    "Lag",
    "Position",
    "Stirred",
    "Stretch",
    "ahead",
    "consumer",
    "consumers",
    "facts",
    "forget_generations",
    "generation",
    "horizon",
    "horizon_holder",
    "lags",
    "named",
    "of_task",
    "place_of",
    "stirred",
    "stretch",
    "taken_back",
    "type_problem",
    "types_for",
]
