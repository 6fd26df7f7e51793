"""Let calls fail fast whose row was locked a moment ago.

A call waits for a lock for up to `lock_timeout`, and blocks its thread meanwhile. Clients that
repeat it without pause would block all threads of the process, and no other client would be served.
So after such a wait, the same call is refused at once for `FAIL_FAST_SECONDS`.
"""

import threading
import time
from uuid import UUID

from rest_framework import exceptions

FAIL_FAST_SECONDS = 1.0


class RowLocked(exceptions.APIException):
    """Refuse a call whose row was locked a moment ago: 503, with a `Retry-After`."""

    status_code = 503
    default_detail = "Another transaction locks a row that this call needs. Send it again."
    wait = FAIL_FAST_SECONDS


class LockTimeouts:
    """Remember calls that timed out on a lock, by organisation and path, for one process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._ends: dict[tuple[UUID, str], float] = {}

    def add(self, organisation_id: UUID, path: str) -> None:
        """Let the call fail fast from now on, for `FAIL_FAST_SECONDS`."""
        now = time.monotonic()
        with self._guard:
            self._ends = {call: end for call, end in self._ends.items() if end > now}
            self._ends[organisation_id, path] = now + FAIL_FAST_SECONDS

    def check(self, organisation_id: UUID, path: str) -> None:
        """Raise `RowLocked` if the call timed out within the last `FAIL_FAST_SECONDS`."""
        if self._ends.get((organisation_id, path), 0.0) > time.monotonic():
            raise RowLocked

    def clear(self) -> None:
        with self._guard:
            self._ends = {}


lock_timeouts = LockTimeouts()
