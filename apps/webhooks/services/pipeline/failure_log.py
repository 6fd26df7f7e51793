"""Log deliveries that fail: one line for each origin in ten seconds, not one for each attempt."""

import logging
import threading
import time
from collections.abc import Iterable
from uuid import UUID

from apps.webhooks.services.pipeline.outcomes import EndedAttempt
from biolayer.times import format_time

logger = logging.getLogger("apps.webhooks")

PAUSE_SECONDS = 10.0
MAX_ORIGINS = 1_000


class FailureLog:
    """Remember of each origin when it was last logged, and how many failures followed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logged: dict[UUID, tuple[float, int]] = {}

    def log(self, attempts: Iterable[EndedAttempt]) -> None:
        """Log the failures among some attempts, without URL queries: they may hold a token."""
        for attempt in attempts:
            if attempt.is_success:
                continue
            skipped = self._skipped_before(attempt.delivery.origin_id)
            if skipped is not None:
                _log_failure(attempt, skipped)

    def _skipped_before(self, origin_id: UUID) -> int | None:
        """Return how many failures were skipped before this one; None to skip this one too."""
        now = time.monotonic()
        with self._lock:
            at, count = self._logged.get(origin_id, (0.0, 0))
            if at and now - at < PAUSE_SECONDS:
                self._logged[origin_id] = (at, count + 1)
                return None
            if len(self._logged) >= MAX_ORIGINS:
                self._logged.clear()
            self._logged[origin_id] = (now, 0)
            return count


def _log_failure(attempt: EndedAttempt, skipped: int) -> None:
    next_attempt = (
        "given up" if attempt.is_exhausted else f"again at {format_time(attempt.next_state.due_at)}"
    )
    logger.warning(
        "%s to %s failed: %s; %s%s",
        attempt.delivery.event_type,
        attempt.delivery.url.partition("?")[0],
        attempt.error,
        next_attempt,
        f" ({skipped} more failed since the last line)" if skipped else "",
    )


failure_log = FailureLog()
