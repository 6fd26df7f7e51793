"""Calls that found their row held by another transaction, remembered for a moment.

A call waits for a lock as long as `lock_timeout` lets it, and keeps its thread meanwhile. Callers who
send it again and again would so keep every thread of the process waiting, and nobody else would be
served. So for `PAUSE_SECONDS` after such a wait, the same call is refused at once.
"""

import threading
import time
from uuid import UUID

from rest_framework import exceptions

PAUSE_SECONDS = 1.0


class Held(exceptions.APIException):
    """The row of this call was held a moment ago. 503, with a `Retry-After`."""

    status_code = 503
    default_detail = "Another transaction holds what this call needs. Send it again."
    wait = PAUSE_SECONDS


class HeldCalls:
    """What was found held, by organisation and path. Each process has its own."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._until: dict[tuple[UUID, str], float] = {}

    def remember(self, organisation_id: UUID, path: str) -> None:
        now = time.monotonic()
        with self._guard:
            self._until = {call: until for call, until in self._until.items() if until > now}
            self._until[organisation_id, path] = now + PAUSE_SECONDS

    def check(self, organisation_id: UUID, path: str) -> None:
        """Raise `Held` where the same call waited in vain within the last `PAUSE_SECONDS`."""
        if self._until.get((organisation_id, path), 0.0) > time.monotonic():
            raise Held

    def forget(self) -> None:
        with self._guard:
            self._until = {}


held_calls = HeldCalls()
