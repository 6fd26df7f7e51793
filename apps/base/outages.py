"""A database that is away: a line in the log when that is noticed, and one when it is over."""

import logging
import threading
import time

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 60.0


class Outage:
    """Remembers whether PostgreSQL was away, so that it is told once and not at each try."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._told_at: float | None = None

    def goes_on(self, error: Exception) -> None:
        """Log an error that the database did not answer, unless that was told within a minute."""
        now = time.monotonic()
        with self._guard:
            if self._told_at is not None and now - self._told_at < AGAIN_SECONDS:
                return
            self._told_at = now
        logger.warning("the database does not answer: %s", str(error).strip().split("\n")[0])

    def is_over(self) -> None:
        """Log that the database answers again, if it did not before."""
        if self._told_at is None:
            return
        with self._guard:
            self._told_at = None
        logger.warning("the database answers again")


outage = Outage()
"""Of this process."""
