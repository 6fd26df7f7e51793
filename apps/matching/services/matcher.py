"""Offer queued tasks to eligible workers, in short batches.

One call of `match_queued`:

1. Read which organisations have tasks to match (fair_share.py).
2. Match a batch of the organisation that is furthest behind its share, and again, until the tasks
   of a round were offered; sandboxes together have a small part of it. One batch is one short
   transaction (batch_transaction.py); where it fails, smaller parts of it are tried
   (batch_fallback.py).
3. Repeat from 1, until each organisation has had a batch that left nothing to do or led to nothing
   new, or the time is over.
4. Where the time was over, start again if the caller allows it, else wake the next call.
5. Where an organisation was busy (another process matches it, or a row that it needs is locked),
   wake the next call a little later.
"""

import time
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from apps.base import clock
from apps.base.drains import BUDGET_SECONDS
from apps.base.wake import wake, wake_later
from apps.matching import fair_share
from apps.matching.fair_share import MAX_BATCH, ROUND
from apps.matching.services.batch_fallback import match_what_can_be
from apps.matching.services.batch_transaction import BatchScope, Exclusions

BUSY_SECONDS = (0.1, 0.2, 0.4)
"""When a busy organisation is tried again: later each time, while there is nothing else to do. Idle
processes must not slow down a busy one."""


def match_queued(
    *,
    at: datetime | None = None,
    budget_seconds: float = BUDGET_SECONDS,
    max_batch: int = MAX_BATCH,
    may_go_on: Callable[[], bool] = lambda: False,
) -> int:
    """Offer queued tasks to eligible workers in queue order. Return how many tasks were offered.

    Go on after `budget_seconds` for as long as `may_go_on` returns True. `max_batch`: the most
    tasks of one transaction.
    """
    offered = 0
    while True:
        matching_pass = MatchingPass(at, budget_seconds=budget_seconds, max_batch=max_batch)
        while matching_pass.match_round():
            pass
        offered += matching_pass.offered
        if not matching_pass.is_cut_short:
            break
        if not may_go_on():
            wake("matching")
            break
    if matching_pass.was_busy and not matching_pass.is_cut_short:
        wake_later("matching", seconds=_pause.next(is_idle=matching_pass.offered == 0))
    return offered


class MatchingPass:
    """Match all organisations in rounds. What their batches led to says when it is over."""

    def __init__(self, at: datetime | None, *, budget_seconds: float, max_batch: int) -> None:
        self.offered = 0
        self.is_cut_short = False
        self.was_busy = False
        self._at = at
        self._ends = time.monotonic() + budget_seconds
        self._max_batch = max_batch
        # Organisations that have had their last batch, and requirements that were parked.
        self._done: set[UUID] = set()
        self._parked: set[UUID] = set()
        # By organisation, what its later batches leave out.
        self._exclusions: dict[UUID, Exclusions] = {}

    def match_round(self) -> bool:
        """Match batches until a round's tasks were offered. Return whether to start another."""
        queued = fair_share.queued_organisations(at=self._at or clock.now())
        waiting = [one for one in queued if one.organisation_id not in self._done]
        remaining = ROUND
        is_over = False
        while waiting and remaining > 0 and not is_over:
            candidates, limit = _sandbox_share.choose(waiting, limit=self._max_batch)
            first = min(candidates, key=attrgetter("position"))
            size = fair_share.batch_size(first, candidates, limit=limit)
            offered = max(1, self._match_batch(first.organisation_id, size))
            first.position += offered / first.weight
            _sandbox_share.count(first.organisation_id, offers=offered)
            remaining -= offered
            if first.organisation_id in self._done:
                waiting.remove(first)
            # Checked after a batch, so that each call makes progress.
            is_over = time.monotonic() > self._ends
        self.is_cut_short = is_over and bool(waiting)
        return remaining < ROUND and not is_over

    def _match_batch(self, organisation_id: UUID, size: int) -> int:
        """Match a batch, and return how many tasks were offered.

        The organisation is done when its batch left nothing to do or led to nothing new.
        """
        before = self._exclusions.get(organisation_id, Exclusions())
        result = match_what_can_be(BatchScope(organisation_id, size, before), self._at)
        self.was_busy = self.was_busy or result.is_busy
        is_new = (
            result.offered
            or result.parked - self._parked
            or result.exclusions.tasks.keys() - before.tasks.keys()
        )
        if not result.has_more or not is_new:
            self._done.add(organisation_id)
        self.offered += result.offered
        self._parked |= result.parked
        self._exclusions[organisation_id] = result.exclusions
        return result.offered


class BusyPause:
    """Count for how long this process has left busy organisations alone."""

    def __init__(self) -> None:
        self._times = 0

    def next(self, *, is_idle: bool) -> float:
        """Return the seconds to wait: longer each time in a row that nothing else was to do."""
        self._times = self._times + 1 if is_idle else 0
        return BUSY_SECONDS[min(self._times, len(BUSY_SECONDS) - 1)]


_pause = BusyPause()
_sandbox_share = fair_share.SandboxShare()
