"""Log an unreachable database once when it is noticed, and once when it is over."""

import logging
import threading
import time

logger = logging.getLogger(__name__)

REPEAT_SECONDS = 60.0


class Outage:
    """Remember whether PostgreSQL was unreachable, so that not every attempt is logged."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._reported_at: float | None = None

    def report(self, error: Exception) -> None:
        """Log that the database does not answer, at most once in `REPEAT_SECONDS`."""
        now = time.monotonic()
        with self._guard:
            if self._reported_at is not None and now - self._reported_at < REPEAT_SECONDS:
                return
            self._reported_at = now
        logger.warning("the database does not answer: %s", str(error).strip().split("\n")[0])

    def end(self) -> None:
        """Log that the database answers again, if an outage was reported."""
        if self._reported_at is None:
            return
        with self._guard:
            self._reported_at = None
        logger.warning("the database answers again")


# One for each process.
outage = Outage()
