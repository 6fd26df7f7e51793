"""A line in the log for deliveries that fail: one for each origin now and then, not one for each attempt."""

import logging
import threading
import time
from collections.abc import Iterable
from uuid import UUID

from apps.webhooks.services.judging import Ended
from biolayer.times import format_time

logger = logging.getLogger("apps.webhooks")

PAUSE_SECONDS = 10.0
MOST_ORIGINS = 1_000


class Failures:
    """Remembers of each origin when it was last told of, and how many failures came since."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._told: dict[UUID, tuple[float, int]] = {}

    def tell(self, ended: Iterable[Ended]) -> None:
        """Log the failures among some attempts. No query of a URL is logged: it may hold a token."""
        for one in ended:
            if one.is_success:
                continue
            more = self._more(one.claim.origin_id)
            if more is None:
                continue
            again = (
                "given up" if one.is_exhausted else f"again at {format_time(one.verdict.due_at)}"
            )
            logger.warning(
                "%s to %s failed: %s; %s%s",
                one.claim.event_type,
                one.claim.url.partition("?")[0],
                one.reason,
                again,
                f" ({more} more failed since the last line)" if more else "",
            )

    def _more(self, origin_id: UUID) -> int | None:
        """Return how many were passed over before this one is told; None to pass it over, too."""
        now = time.monotonic()
        with self._guard:
            at, count = self._told.get(origin_id, (0.0, 0))
            if at and now - at < PAUSE_SECONDS:
                self._told[origin_id] = (at, count + 1)
                return None
            if len(self._told) >= MOST_ORIGINS:
                self._told.clear()
            self._told[origin_id] = (now, 0)
            return count


failures = Failures()
