"""Check, while a call is open, that its caller may still read what it asked for.

A stream lasts for minutes, and a long poll for most of one. Neither may go on for a key that was
revoked, a member that was removed, or an address that is no longer allowed.
"""

import asyncio
import time
from dataclasses import dataclass, field

from django.http import HttpRequest

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.api.http.authentication import authenticate_again, bearer
from apps.base.addresses import client_address
from apps.base.db_threads import run_on_thread
from biolayer.errors import Refused, Unauthenticated

# For how long a check is enough, so that a busy stream does not check at each event.
CHECK_SECONDS = 1.0
CHANGED = "What this credential may see has changed. Send the call again."


def check(request: HttpRequest, actor: Principal) -> Principal:
    """Return the credential as it is now. Raise what a new call would be refused with.

    Raise `Unauthenticated` also where the credential is for another organisation or other pools
    now than `actor`, by which the open call reads.
    """
    present = authenticate_again(request)
    _compare(present, actor)
    return present


def _compare(present: Principal, actor: Principal) -> None:
    present.require(Scope.TASKS_READ)
    if (present.organisation_id, present.pool_ids) != (actor.organisation_id, actor.pool_ids):
        raise Unauthenticated(CHANGED)


@dataclass(slots=True)
class Access:
    """Hold the request of a stream, and when its credential was last checked (monotonic)."""

    request: HttpRequest
    checked_at: float = field(default_factory=time.monotonic)

    async def allows(self, actor: Principal) -> bool:
        """Return whether the stream may go on, by a check of the last `CHECK_SECONDS`."""
        if time.monotonic() < self.checked_at + CHECK_SECONDS:
            return True
        began = time.monotonic()
        try:
            _compare(await _checks.principal(self.request), actor)
        except Refused:
            return False
        self.checked_at = began
        return True


class _SharedChecks:
    """Authenticate on the threads; streams of one credential and address share a check."""

    def __init__(self) -> None:
        self._running: dict[object, asyncio.Task[Principal]] = {}

    async def principal(self, request: HttpRequest) -> Principal:
        """Return what `authenticate_again` returns."""
        key = (asyncio.get_running_loop(), bearer(request), client_address(request))
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(run_on_thread(authenticate_again, request))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key))
        # A stream that is cancelled must not cancel the check of the others.
        return await asyncio.shield(task)


_checks = _SharedChecks()
