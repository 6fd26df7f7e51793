"""Read the event log: one task's, or an organisation's as a feed, and its consumers."""

from apps.events.selectors.consumers import (
    MAX_COUNTED,
    Lag,
    consumer,
    consumer_lags,
    consumers,
    consumers_named,
    pending_events,
    position_of,
)
from apps.events.selectors.feed import (
    BEGINNING,
    FEED_TYPES,
    FeedChanges,
    FeedSlice,
    HorizonHolder,
    Position,
    feed_changes,
    feed_slice,
    horizon,
    horizon_holder,
    type_problem,
    types_for,
)
from apps.events.selectors.generations import (
    clear_generation_cache,
    current_generation,
    rewound,
)
from apps.events.selectors.log import claims, facts, shown_data, task_events, was_given

__all__ = [
    "BEGINNING",
    "FEED_TYPES",
    "MAX_COUNTED",
    "FeedChanges",
    "FeedSlice",
    "HorizonHolder",
    "Lag",
    "Position",
    "claims",
    "clear_generation_cache",
    "consumer",
    "consumer_lags",
    "consumers",
    "consumers_named",
    "current_generation",
    "facts",
    "feed_changes",
    "feed_slice",
    "horizon",
    "horizon_holder",
    "pending_events",
    "position_of",
    "rewound",
    "shown_data",
    "task_events",
    "type_problem",
    "types_for",
    "was_given",
]
