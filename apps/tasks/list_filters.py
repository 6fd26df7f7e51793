"""Name what the operator's list of tasks, and its export, are filtered by."""

from collections.abc import Mapping
from datetime import timedelta

from biolayer.lifecycle import Status

# How long ago a task was created at most.
PERIODS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}
# How long ago a task that is queued was created at least.
WAITING = {"hour": timedelta(hours=1)}

WAITING_STATUSES = (Status.QUEUED, Status.MATCHED)
ACTIVE_STATUSES = (Status.ACCEPTED, Status.STARTED, Status.SUBMITTED, Status.VERIFIED)
STATUS_GROUPS: Mapping[str, tuple[Status, ...]] = {
    "open": (Status.CREATED, *WAITING_STATUSES, Status.OFFERED, *ACTIVE_STATUSES),
    # The board counts those at `created` without a closed gate, too, which are there for a moment.
    "waiting": WAITING_STATUSES,
    "active": ACTIVE_STATUSES,
}
"""Groups of statuses, as the board counts them."""

ANY_POOL = "any"
"""Tasks that may be offered to every pool."""
