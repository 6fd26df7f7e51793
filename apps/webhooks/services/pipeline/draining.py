"""DeliveryRun due deliveries: claim them, send them, record the results.

`deliver_due` runs in one process or in many; rows are the queue:

1. claim: take due rows up to the free slots, limited for each origin (claiming.py);
2. send: hand the batch to the `Sender`, which works outside any transaction, hundreds at a time;
3. record: write the available results together (recording.py).

A process that dies between 1 and 3 leaves rows that become due again without help: every delivery
arrives at least once.
"""

import atexit
import logging
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache, partial
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from apps.webhooks.destination_urls import allows_loopback
from apps.webhooks.http_client import AttemptResult, Outcome, QueuedRequest, Sender
from apps.webhooks.services.keys import sealed_keys_of
from apps.webhooks.services.pipeline.claiming import ClaimedDelivery, claim
from apps.webhooks.services.pipeline.recording import UnrecordedResult, record
from apps.webhooks.services.pipeline.requests import signed_request

logger = logging.getLogger(__name__)

# Attempts under way in one process, over all origins.
MAX_UNDER_WAY = 1_000

# How long new rows wait at most while other attempts are under way.
POLL_SECONDS = 0.05

# With fewer than `SMALL_BATCH` results and more than `MANY_UNDER_WAY` attempts, wait a moment for
# more results: a busy drain writes many rows with one statement. In all other cases write at once,
# since an attempt whose result is not written is made again when the process dies.
SMALL_BATCH, MANY_UNDER_WAY = 32, 128
GATHER_SECONDS = 0.005

# Every attempt has a deadline of 30 s at most. A result that is missing then will not arrive.
LONGEST_ATTEMPT_SECONDS = 31.0


@lru_cache(maxsize=1)
def _sender() -> Sender:
    sender = Sender(nameservers=settings.NAMESERVERS, allows_loopback=allows_loopback)
    atexit.register(sender.close)
    return sender


class DeliveryRun:
    """Track the attempts that one call of `deliver_due` has under way."""

    def __init__(self, at: datetime | None) -> None:
        self._at = at
        self._results: queue.SimpleQueue[AttemptResult] = queue.SimpleQueue()
        self._under_way: dict[UUID, ClaimedDelivery] = {}
        self._unrecorded: list[UnrecordedResult] = []
        self._next_claim_at = 0.0
        self.sent_count = 0

    @property
    def is_idle(self) -> bool:
        return not self._under_way and not self._unrecorded

    def claim_and_send(self) -> bool:
        """Claim what is due and send it. Return False when nothing at all was due."""
        free_slots = MAX_UNDER_WAY - len(self._under_way)
        started_at = time.monotonic()
        if free_slots <= 0 or (started_at < self._next_claim_at and not self.is_idle):
            return True
        batch = claim(limit=free_slots, at=self._at)
        if not batch.found_any:
            # With very many origins an empty claim is expensive: leave most of the time to results.
            ended_at = time.monotonic()
            self._next_claim_at = ended_at + 3 * (ended_at - started_at)
        self._send(batch.deliveries)
        return batch.found_any

    def _send(self, deliveries: Sequence[ClaimedDelivery]) -> None:
        if not deliveries:
            return
        keys = sealed_keys_of({delivery.organisation_id for delivery in deliveries}, at=self._at)
        # Where an organisation's keys cannot be read now, its claims expire: its deliveries are due
        # again then.
        sendable = [delivery for delivery in deliveries if delivery.organisation_id in keys]
        self._under_way |= {delivery.token: delivery for delivery in sendable}
        requests = [
            QueuedRequest(
                delivery.token, partial(signed_request, delivery, keys[delivery.organisation_id])
            )
            for delivery in sendable
        ]
        _sender().send_all(requests, self._results.put)

    def record_results(self, *, timeout: float) -> None:
        """Record the available results, after waiting up to `timeout` seconds for the first."""
        for result in self._available_results(timeout):
            delivery = self._under_way.pop(result.token)
            self.sent_count += 1
            # An attempt that we aborted says nothing about its receiver; its claim expires.
            if result.outcome is not Outcome.ABORTED:
                self._unrecorded.append((delivery, result))
        self._unrecorded = list(record(self._unrecorded))

    def _available_results(self, timeout: float) -> list[AttemptResult]:
        try:
            results = [self._results.get(timeout=timeout)]
        except queue.Empty:
            return []
        results += self._queued_results()
        if len(results) < SMALL_BATCH and len(self._under_way) > MANY_UNDER_WAY:
            time.sleep(GATHER_SECONDS)
            results += self._queued_results()
        return results

    def _queued_results(self) -> Iterator[AttemptResult]:
        try:
            while True:
                yield self._results.get_nowait()
        except queue.Empty:
            return


def deliver_due(
    *,
    at: datetime | None = None,
    budget_seconds: float | None = 30.0,
    is_stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Send due deliveries until none is due, the budget is spent or `is_stopping` returns True.

    Without a budget (None) only the other two end it. Return how many attempts were made. It
    continues to claim while attempts are under way, so that no delivery waits behind a slow
    receiver. `at` replaces the database's time in the claims, for tests.
    """
    ends_at = None if budget_seconds is None else time.monotonic() + budget_seconds
    drain = DeliveryRun(at)
    deadline = ResultDeadline()
    while True:
        is_ending = is_stopping() or (ends_at is not None and time.monotonic() >= ends_at)
        try:
            found_any = False if is_ending else drain.claim_and_send()
            if drain.is_idle and not found_any:
                return drain.sent_count
            if not drain.is_idle:
                drain.record_results(timeout=POLL_SECONDS)
        except (OperationalError, InterfaceError):
            # Attempts under way would be made again: wait for the database as long as claims last.
            if drain.is_idle or deadline.has_passed():
                raise
            connection.close()
            time.sleep(POLL_SECONDS)
        else:
            if not is_ending:
                deadline = ResultDeadline()
            elif deadline.has_passed():
                return drain.sent_count


class ResultDeadline:
    """Limit how long to wait for missing results or a missing database: as long as claims last."""

    def __init__(self) -> None:
        self._ends_at: float | None = None

    def has_passed(self) -> bool:
        """Return whether `LONGEST_ATTEMPT_SECONDS` have passed since the first call."""
        self._ends_at = self._ends_at or time.monotonic() + LONGEST_ATTEMPT_SECONDS
        return time.monotonic() >= self._ends_at
