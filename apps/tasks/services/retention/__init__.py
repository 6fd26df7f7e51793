"""Delete the personal content of closed tasks at the end of their retention; hold it back."""

from apps.tasks.services.retention.erasure import erase_text, erase_words, kept_reasons
from apps.tasks.services.retention.holds import place_hold, release_hold
from apps.tasks.services.retention.purging import (
    add_early_purger,
    add_purger,
    before_purges,
    purge_due,
    purge_tasks_now,
)
from apps.tasks.services.retention.scheduling import queue_purges

__all__ = [
    "add_early_purger",
    "add_purger",
    "before_purges",
    "erase_text",
    "erase_words",
    "kept_reasons",
    "place_hold",
    "purge_due",
    "purge_tasks_now",
    "queue_purges",
    "release_hold",
]
