"""Name the times by which the operator's list of tasks, and its export, are filtered."""

from datetime import timedelta

# How long ago a task was created at most.
PERIODS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}
# How long ago a task that is queued was created at least.
WAITING = {"hour": timedelta(hours=1)}
