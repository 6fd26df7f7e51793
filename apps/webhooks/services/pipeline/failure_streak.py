"""Decide when an endpoint's failures lead to a warning, and when the endpoint is disabled.

Pure rules over values; operational_events.py reads and writes the rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from apps.webhooks.services.pipeline.origin_health import Observation

WARNING_HOURS = (1, 24, 72)

# An endpoint is disabled after this time without a success, with this many failures of attempts,
# over this many events.
DISABLED_AFTER = timedelta(days=5)
DISABLED_AT_FAILURES = 20
DISABLED_AT_EVENTS = 3


@dataclass(frozen=True, slots=True)
class FailureStreak:
    """Hold an endpoint's failures since its last success."""

    failing_since: datetime | None = None
    failure_count: int = 0
    # The last warning given: 0, 1, 24 or 72.
    warned_hours: int = 0

    def after(self, attempts: Iterable[Observation]) -> "FailureStreak":
        """Return the streak after some attempts, in the order in which they ended."""
        streak = self
        for attempt in sorted(attempts, key=lambda attempt: attempt.ended_at):
            streak = (
                FailureStreak() if attempt.is_success else streak._with_failure(attempt.ended_at)
            )
        return streak

    def _with_failure(self, at: datetime) -> "FailureStreak":
        since = self.failing_since or at
        return replace(self, failing_since=since, failure_count=self.failure_count + 1)

    def due_warning(self, at: datetime) -> int | None:
        """Return the hours of the latest warning that is due and was not given yet."""
        if self.failing_since is None:
            return None
        elapsed_hours = (at - self.failing_since) / timedelta(hours=1)
        due = max((hours for hours in WARNING_HOURS if hours <= elapsed_hours), default=0)
        return due if due > self.warned_hours else None

    def is_long_enough_to_disable(self, at: datetime) -> bool:
        """Return whether time and failures suffice to disable the endpoint, events aside."""
        return (
            self.failing_since is not None
            and at - self.failing_since >= DISABLED_AFTER
            and self.failure_count >= DISABLED_AT_FAILURES
        )
