"""Fire the timers that are due: each exactly once, late rather than never.

`fire_due` works in two steps, so that one failing handler cannot delay the rest:

1. claim: up to `BATCH` due rows get a token and a new due time, `CLAIM_SECONDS` ahead, committed at
   once. If this process dies now, the rows are due again then.
2. fire: each row's handler runs in a transaction of its own that also deletes the row, by its
   token. Effect and deletion commit together: a second drain finds no row, so no second effect.

Where thousands are due at once, a transaction for each is too slow. A kind may have a batch
handler, which locks what it can by SKIP LOCKED and handles all of it in one transaction. When it
fails, its timers are fired one by one, so that a bad row costs the others only time.

No timer waits for a lock. A handler locks its rows by NOWAIT; a timer whose rows are locked is
released, due again in `RETRY_SECONDS`, and the other timers continue. Other rows that a transition
needs, an endpoint of its organisation, say, are waited for up to `lock_timeout`, once for each
organisation in a batch.
"""

import gc
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from apps.base import clock
from apps.base.drains import group_by_organisation
from apps.base.ids import new_id
from apps.base.transactions import is_timeout, raise_if_disconnected
from apps.base.wake import wake
from apps.timers.models import Timer

logger = logging.getLogger(__name__)

BATCH = 250

# Longer than a batch takes. What a stopped or killed process had claimed is due again after it.
CLAIM_SECONDS = 10

# When a timer whose rows were locked is due again.
RETRY_SECONDS = 0.5

# The same for a timer whose transition timed out: longer, so that the next pass gets past it.
TIMEOUT_RETRY_SECONDS = 1.0

# A handler that failed after a longer time did not fail by NOWAIT: its transition timed out.
NOWAIT_SECONDS = 0.05

# Does what the timer is for, and locks what it needs by NOWAIT. Returns when the timer is due
# again, or None when it is done.
Handler = Callable[[Timer, datetime], datetime | None]

# Does the same for many subjects at once, within the caller's transaction, and waits for no lock.
# Returns a `Handler`'s result for each subject that it handled; the others are left as they were.
BatchHandler = Callable[[Sequence[UUID], datetime], Mapping[UUID, datetime | None]]

_handlers: dict[str, Handler] = {}
_batch_handlers: dict[str, BatchHandler] = {}


def register(kind: str, handler: Handler, batch_handler: BatchHandler | None = None) -> None:
    """Register what timers of `kind` do. Called by config/wiring.py only."""
    _handlers[kind] = handler
    if batch_handler is not None:
        _batch_handlers[kind] = batch_handler


CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id FROM timers_timer WHERE due_at <= %(at)s
    ORDER BY due_at, id LIMIT %(batch)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE timers_timer SET due_at = %(until)s, claim_token = %(token)s
FROM due WHERE timers_timer.id = due.id
RETURNING kind, subject_id, organisation_id, timers_timer.id
"""

FINISH = """
WITH result AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[]) AS result (id, next_due_at)
), finished AS (
    DELETE FROM timers_timer t USING result
    WHERE t.id = result.id AND t.claim_token = %(token)s AND next_due_at IS NULL RETURNING t.id
), repeated AS (
    UPDATE timers_timer t SET due_at = next_due_at, claim_token = NULL FROM result
    WHERE t.id = result.id AND t.claim_token = %(token)s AND next_due_at IS NOT NULL RETURNING t.id
)
SELECT id FROM finished UNION ALL SELECT id FROM repeated
"""

# A timer whose own row is locked stays claimed, and is due again when the claim ends.
RELEASE = """
UPDATE timers_timer t SET due_at = %(due_at)s, claim_token = NULL
FROM (
    SELECT id FROM timers_timer WHERE id = ANY (%(ids)s) AND claim_token = %(token)s
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
) claimed
WHERE t.id = claimed.id
"""


class Claimed(NamedTuple):
    """Describe a timer that this process may fire until its claim ends."""

    kind: str
    subject_id: UUID
    organisation_id: UUID
    id: UUID


class Superseded(Exception):
    """Raised when another drain claimed a timer meanwhile: its effect counts, ours must not."""


def fire_due(*, at: datetime | None = None) -> int:
    """Fire one batch of timers due at `at` (the database's now). Return how many were claimed."""
    batch = _Batch(at)
    claimed = batch.claim()
    if len(claimed) == BATCH:
        wake("timers")  # More are due: another process may take them.
    for timers in _by_kind(claimed):
        batch.fire(timers)
    batch.release_locked()
    return len(claimed)


def _by_kind(claimed: Iterable[Claimed]) -> list[list[Claimed]]:
    kinds: dict[str, list[Claimed]] = {}
    for timer in claimed:
        kinds.setdefault(timer.kind, []).append(timer)
    return list(kinds.values())


class _Batch:
    """Fire the timers of one claim. `at` stands for the database's now."""

    def __init__(self, at: datetime | None) -> None:
        self._at = at
        self._token = new_id()
        self._locked: list[UUID] = []
        # The timer whose transition timed out, by organisation: its other timers are not tried.
        self._timed_out: dict[UUID, UUID] = {}

    def claim(self) -> list[Claimed]:
        at = self._now()
        params: dict[str, Any] = {
            "at": at,
            "until": at + timedelta(seconds=CLAIM_SECONDS),
            "token": self._token,
            "batch": BATCH,
        }
        with connection.cursor() as cursor:
            cursor.execute(CLAIM, params)
            return [Claimed._make(row) for row in cursor.fetchall()]

    def fire(self, timers: Sequence[Claimed]) -> None:
        """Fire timers of one kind: together where the kind has a batch handler, else one by one."""
        if timers[0].kind in _batch_handlers and len(timers) > 1:
            self._fire_together(timers)
        else:
            self._fire_one_by_one(timers)

    def release_locked(self) -> None:
        """Make the timers whose rows were locked due again soon."""
        self._release(self._locked, RETRY_SECONDS)
        self._release(list(self._timed_out.values()), TIMEOUT_RETRY_SECONDS)

    def _release(self, ids: list[UUID], seconds: float) -> None:
        if not ids:
            return
        due_at = self._now() + timedelta(seconds=seconds)
        with connection.cursor() as cursor:
            cursor.execute(RELEASE, {"ids": ids, "token": self._token, "due_at": due_at})

    def _now(self) -> datetime:
        return self._at or clock.now()

    def _fire_together(self, timers: Sequence[Claimed]) -> None:
        try:
            unhandled = _fire_together(timers, self._token, self._now())
        except Exception as error:
            raise_if_disconnected(error)
            if not is_timeout(error):
                text = "%s timers %s failed together; they are fired one by one"
                logger.exception(text, len(timers), timers[0].kind)
                self._fire_one_by_one(timers)
            elif len(organisations := group_by_organisation(timers)) > 1:
                for part in organisations:
                    self._fire_together(part)
            else:
                # Up to the one that times out: the timers before it succeed.
                self._fire_one_by_one(timers)
        else:
            self._put_aside(timers, unhandled)

    def _put_aside(self, timers: Sequence[Claimed], unhandled: Collection[UUID]) -> None:
        """Keep the timers that the handler left out for `release_locked`.

        Their rows are locked, or their subject is deleted. Where all were left out, one is fired
        alone, which shows the reason: so no pass is without effect.
        """
        remaining = [timer for timer in timers if timer.id in unhandled]
        if len(remaining) == len(timers):
            self._fire_alone(remaining.pop(0))
        self._locked += [timer.id for timer in remaining]

    def _fire_one_by_one(self, timers: Iterable[Claimed]) -> None:
        for timer in timers:
            self._fire_alone(timer)

    def _fire_alone(self, timer: Claimed) -> None:
        if timer.organisation_id in self._timed_out:
            self._locked.append(timer.id)
            return
        began = time.monotonic()
        try:
            _fire(timer.id, self._token, self._now())
        except Exception as error:
            raise_if_disconnected(error)
            if is_timeout(error) and time.monotonic() - began > NOWAIT_SECONDS:
                self._timed_out[timer.organisation_id] = timer.id
            elif is_timeout(error):
                self._locked.append(timer.id)
            else:
                # The row stays and is due again; the other timers must not wait for a repair.
                text = "timer %s failed; it is tried again in %s s"
                logger.exception(text, timer.id, CLAIM_SECONDS)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Suspend Python's collection of cycles.

    The rows of a batch live until its end: searching them for cycles again and again would take a
    fifth of the time, and find none.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_no_garbage_collection()
@transaction.atomic
def _fire_together(timers: Sequence[Claimed], token: UUID, at: datetime) -> list[UUID]:
    """Return the timers that the handler left out. Raise `Superseded`, having done nothing."""
    ids = {timer.subject_id: timer.id for timer in timers}
    due_again = _batch_handlers[timers[0].kind](list(ids), at)
    handled = [ids[subject_id] for subject_id in due_again]
    with connection.cursor() as cursor:
        params: dict[str, Any] = {"ids": handled, "times": list(due_again.values()), "token": token}
        cursor.execute(FINISH, params)
        lost = {*handled}.difference(row[0] for row in cursor.fetchall())
    # As in `_fire`: a deleted row is fine, a row with another token belongs to another drain.
    if lost and Timer.objects.filter(id__in=lost).exists():
        raise Superseded
    return [ids[subject_id] for subject_id in ids.keys() - due_again.keys()]


@transaction.atomic
def _fire(timer_id: UUID, token: UUID, at: datetime) -> None:
    row = Timer.objects.filter(id=timer_id, claim_token=token).first()
    if row is None:
        return  # Claimed by another drain since, or deleted with its task.
    due_again_at = _handlers[row.kind](row, at)
    claimed = Timer.objects.filter(id=timer_id, claim_token=token)
    if due_again_at is None:
        finished, _ = claimed.delete()
    else:
        finished = claimed.update(due_at=due_again_at, claim_token=None)
    # No row at all is fine: the handler's own transition deleted it. A row with another token means
    # that another drain claimed the timer meanwhile: its effect counts, ours must not.
    if not finished and Timer.objects.filter(id=timer_id).exists():
        transaction.set_rollback(True)
