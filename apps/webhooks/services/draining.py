"""The drain: from due rows to the sender and back into the rows.

`deliver_due` runs in one process or in many; rows are the queue:

1. claim: up to the free slots of due rows, capped for each origin (claiming.py);
2. send: the batch goes to the `Sender`, which works outside any transaction, hundreds at a time;
3. record: results that have come back are written together (recording.py).

A process that dies between 1 and 3 leaves rows that come due again by themselves: every delivery
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

from django.db import InterfaceError, OperationalError, connection

from apps.webhooks.delivery import Order, Outcome, Result, Sender
from apps.webhooks.services.claiming import Claim, claim
from apps.webhooks.services.keys import sealed_keys_of
from apps.webhooks.services.recording import Returned, record

logger = logging.getLogger(__name__)

SLOTS = 1_000
"""Attempts under way in one process, over all origins."""

LOOK_AGAIN_SECONDS = 0.05
"""How long new rows wait at most while others are under way."""

FEW, MANY = 32, 128
GATHER_SECONDS = 0.005
"""While few results are there, and many on their way, a moment is waited for more: a busy drain
writes many rows with one statement. Any other writes at once what it has, since what is not written
when the process dies is sent again."""

LONGEST_ATTEMPT_SECONDS = 31.0
"""Every attempt has a deadline of 30 s at most. What has not come back then will not."""


@lru_cache(maxsize=1)
def _sender() -> Sender:
    sender = Sender()
    atexit.register(sender.close)
    return sender


class Drain:
    """The attempts that one call of `deliver_due` has under way."""

    def __init__(self, at: datetime | None) -> None:
        self._at = at
        self._finished: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._under_way: dict[UUID, Claim] = {}
        # What has come back and is not written down yet.
        self._returned: list[Returned] = []
        self._looks_again_at = 0.0
        self.sent = 0

    @property
    def is_idle(self) -> bool:
        return not self._under_way and not self._returned

    def take(self) -> bool:
        """Claim what is due and send it. False when nothing at all was due."""
        room = SLOTS - len(self._under_way)
        began = time.monotonic()
        if room <= 0 or (began < self._looks_again_at and not self.is_idle):
            return True
        found = claim(limit=room, at=self._at)
        if not found.found_any:
            # With very many origins a look in vain has its price: most of the time goes to results.
            self._looks_again_at = time.monotonic() + 3 * (time.monotonic() - began)
        self._start(found.claims)
        return found.found_any

    def _start(self, claims: Sequence[Claim]) -> None:
        if not claims:
            return
        keys = sealed_keys_of({one.organisation_id for one in claims}, at=self._at)
        # An organisation whose keys cannot be read now has its claims end by themselves: what is not
        # sent is due again then.
        readable = [one for one in claims if one.organisation_id in keys]
        self._under_way |= {one.token: one for one in readable}
        orders = [
            Order(one.token, partial(one.request, keys[one.organisation_id])) for one in readable
        ]
        _sender().send_all(orders, self._finished.put)

    def settle(self, *, patience: float) -> None:
        """Record what came back, after waiting up to `patience` seconds for the first result."""
        for result in self._collect(patience):
            claimed = self._under_way.pop(result.token)
            self.sent += 1
            # What we broke off ourselves says nothing of its receiver; its claim ends by itself.
            if result.outcome is not Outcome.ABORTED:
                self._returned.append((claimed, result))
        self._returned = list(record(self._returned))

    def _collect(self, patience: float) -> list[Result]:
        try:
            results = [self._finished.get(timeout=patience)]
        except queue.Empty:
            return []
        results += self._ready()
        if len(results) < FEW and len(self._under_way) > MANY:
            time.sleep(GATHER_SECONDS)
            results += self._ready()
        return results

    def _ready(self) -> Iterator[Result]:
        try:
            while True:
                yield self._finished.get_nowait()
        except queue.Empty:
            return


def deliver_due(
    *,
    at: datetime | None = None,
    budget_seconds: float | None = 30.0,
    is_stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Send what is due until nothing is, the budget is spent (None: there is none), or it is told
    to stop. Answers how many attempts were made.

    It goes on claiming as long as attempts are under way, so that nobody waits behind a receiver
    that takes its time. `at` stands for the database's now in the claims: a test passes time in.
    """
    ends = None if budget_seconds is None else time.monotonic() + budget_seconds
    drain = Drain(at)
    patience = Patience()
    while True:
        is_over = is_stopping() or (ends is not None and time.monotonic() >= ends)
        try:
            found_any = False if is_over else drain.take()
            if drain.is_idle and not found_any:
                return drain.sent
            if not drain.is_idle:
                drain.settle(patience=LOOK_AGAIN_SECONDS)
        except (OperationalError, InterfaceError):
            # What is under way would be sent again: the database gets the time that claims last.
            if drain.is_idle or not patience.is_left():
                raise
            connection.close()
            time.sleep(LOOK_AGAIN_SECONDS)
        else:
            if not is_over:
                patience = Patience()
            elif not patience.is_left():
                return drain.sent


class Patience:
    """How long results are waited for that may never come, or a database that may be gone: no
    longer than claims last.
    """

    def __init__(self) -> None:
        self._ends: float | None = None

    def is_left(self) -> bool:
        """From the first question on, for `LONGEST_ATTEMPT_SECONDS`."""
        self._ends = self._ends or time.monotonic() + LONGEST_ATTEMPT_SECONDS
        return time.monotonic() < self._ends
