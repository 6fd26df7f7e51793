"""Setting timers, and firing those that are due: each exactly once, late rather than never.

`fire_due` works in two steps, so that one bad handler cannot hold up the rest:

1. claim: up to `BATCH` due rows get a token and a new due time, `CLAIM_SECONDS` ahead, committed at
   once. If this process dies now, the rows are due again then.
2. fire: each row's handler runs in a transaction of its own that also deletes the row, by its
   token. Effect and deletion commit together: a second drain finds no row, so no second effect.

Where thousands are due at once, a transaction for each is too slow. A kind may have a handler for
many, which locks what it can get by SKIP LOCKED, and deals with all of it in one transaction. When it
fails, its timers are fired one by one, so that a bad row costs the others time and nothing else.

No timer waits for a lock. A handler locks its rows by NOWAIT; a timer whose rows others hold is put
back, due again in `AGAIN_SECONDS`, and the other timers go on. What a transition needs besides, an
endpoint of its organisation, say, is waited for as long as `lock_timeout` lets it, once for each
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

from apps.base import clock, rows
from apps.base.drains import by_organisation
from apps.base.ids import new_id
from apps.base.transactions import is_held_up, raise_if_gone
from apps.base.wake import wake
from apps.timers.models import Timer

logger = logging.getLogger(__name__)

BATCH = 250
CLAIM_SECONDS = 10
"""Longer than a batch takes; what a process that was stopped or killed had claimed is due again then."""

AGAIN_SECONDS = 0.5
"""When a timer is looked at again whose rows were held by others."""

HELD_UP_AGAIN_SECONDS = 1.0
"""The same for one whose transition was held up: longer, so that the next pass gets past it."""

WAITED_SECONDS = 0.05
"""What failed after so long did not fail by NOWAIT: its transition was held up."""

Handler = Callable[[Timer, datetime], datetime | None]
"""Does what the timer is for, and locks what it needs by NOWAIT. Returns when to look again, or None
when it is done for good."""

BatchHandler = Callable[[Sequence[UUID], datetime], Mapping[UUID, datetime | None]]
"""Does it for many subjects at once, within the transaction it is called in, and waits for nobody.
Answers as a `Handler` does, for those that it dealt with; the others are left as they were."""

_handlers: dict[str, Handler] = {}
_batch_handlers: dict[str, BatchHandler] = {}


def register(kind: str, handler: Handler, batch_handler: BatchHandler | None = None) -> None:
    """Say what timers of `kind` do. Called by config/wiring.py only."""
    _handlers[kind] = handler
    if batch_handler is not None:
        _batch_handlers[kind] = batch_handler


SET = """
INSERT INTO timers_timer (id, organisation_id, kind, subject_id, due_at)
SELECT id, organisation_id, kind, subject_id, due_at FROM jsonb_to_recordset(%s) AS new (
    id uuid, organisation_id uuid, kind text, subject_id uuid, due_at timestamptz)
ON CONFLICT (subject_id, kind) DO UPDATE SET due_at = excluded.due_at, claim_token = NULL
"""

CLEAR = """
DELETE FROM timers_timer t USING jsonb_to_recordset(%s) AS over (subject_id uuid)
WHERE t.subject_id = over.subject_id
"""


def set_timer(
    *, organisation_id: UUID, kind: str, subject_id: UUID, due_at: datetime
) -> rows.BulkStatement:
    """Due once at `due_at`; a timer of that kind that the subject already has is set anew."""
    timer = {
        "id": new_id(),
        "organisation_id": organisation_id,
        "kind": kind,
        "subject_id": subject_id,
        "due_at": due_at,
    }
    return rows.BulkStatement(SET, timer)


def clear_timers(*, subject_id: UUID) -> rows.BulkStatement:
    """Nothing is due for the subject any more."""
    return rows.BulkStatement(CLEAR, {"subject_id": subject_id})


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
WITH answer AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[]) AS answer (id, again_at)
), over AS (
    DELETE FROM timers_timer t USING answer
    WHERE t.id = answer.id AND t.claim_token = %(token)s AND again_at IS NULL RETURNING t.id
), later AS (
    UPDATE timers_timer t SET due_at = again_at, claim_token = NULL FROM answer
    WHERE t.id = answer.id AND t.claim_token = %(token)s AND again_at IS NOT NULL RETURNING t.id
)
SELECT id FROM over UNION ALL SELECT id FROM later
"""

PUT_BACK = """
UPDATE timers_timer t SET due_at = %(again_at)s, claim_token = NULL
FROM (
    SELECT id FROM timers_timer WHERE id = ANY (%(ids)s) AND claim_token = %(token)s
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
) held
WHERE t.id = held.id
"""
"""A timer whose own row is held stays claimed, and is due again when the claim ends."""


class Claimed(NamedTuple):
    """A timer that is ours to fire until its claim ends."""

    kind: str
    subject_id: UUID
    organisation_id: UUID
    id: UUID


class Superseded(Exception):
    """Another drain took a timer over while we ran: its effect counts, ours must not."""


def fire_due(*, at: datetime | None = None) -> int:
    """Fire one batch of timers due at `at` (the database's now). Return how many were claimed."""
    batch = _Batch(at)
    claimed = batch.claim()
    if len(claimed) == BATCH:
        wake("timers")  # There is more: another process may have at it, too.
    for timers in _by_kind(claimed):
        batch.fire(timers)
    batch.put_back()
    return len(claimed)


def _by_kind(claimed: Iterable[Claimed]) -> list[list[Claimed]]:
    kinds: dict[str, list[Claimed]] = {}
    for timer in claimed:
        kinds.setdefault(timer.kind, []).append(timer)
    return list(kinds.values())


class _Batch:
    """The timers of one claim. `at` stands for the database's now."""

    def __init__(self, at: datetime | None) -> None:
        self._at = at
        self._token = new_id()
        self._held: list[UUID] = []
        # Timers whose transition itself was held up, by organisation: its other timers are not tried.
        self._held_up: dict[UUID, UUID] = {}

    def claim(self) -> list[Claimed]:
        at = self._now()
        given: dict[str, Any] = {
            "at": at,
            "until": at + timedelta(seconds=CLAIM_SECONDS),
            "token": self._token,
            "batch": BATCH,
        }
        with connection.cursor() as cursor:
            cursor.execute(CLAIM, given)
            return [Claimed._make(row) for row in cursor.fetchall()]

    def fire(self, timers: Sequence[Claimed]) -> None:
        """Fire timers of one kind: together if it knows how to, else each by itself."""
        if timers[0].kind in _batch_handlers and len(timers) > 1:
            self._fire_together(timers)
        else:
            self._fire_one_by_one(timers)

    def put_back(self) -> None:
        """Have those that were held fire again soon."""
        self._put_back(self._held, AGAIN_SECONDS)
        self._put_back(list(self._held_up.values()), HELD_UP_AGAIN_SECONDS)

    def _put_back(self, ids: list[UUID], seconds: float) -> None:
        if not ids:
            return
        again_at = self._now() + timedelta(seconds=seconds)
        with connection.cursor() as cursor:
            cursor.execute(PUT_BACK, {"ids": ids, "token": self._token, "again_at": again_at})

    def _now(self) -> datetime:
        return self._at or clock.now()

    def _fire_together(self, timers: Sequence[Claimed]) -> None:
        try:
            left = _fire_together(timers, self._token, self._now())
        except Exception as error:
            raise_if_gone(error)
            if not is_held_up(error):
                text = "%s timers %s failed together; they are fired one by one"
                logger.exception(text, len(timers), timers[0].kind)
                self._fire_one_by_one(timers)
            elif len(organisations := by_organisation(timers)) > 1:
                for part in organisations:
                    self._fire_together(part)
            else:
                # Up to the one that is held up: whatever comes before it gets through.
                self._fire_one_by_one(timers)
        else:
            self._put_aside(timers, left)

    def _put_aside(self, timers: Sequence[Claimed], left: Collection[UUID]) -> None:
        """Those that the handler left are held, or their subject is gone. Where that is all of them, one
        is fired alone, which tells: so no pass is without effect.
        """
        rest = [timer for timer in timers if timer.id in left]
        if len(rest) == len(timers):
            self._fire_alone(rest.pop(0))
        self._held += [timer.id for timer in rest]

    def _fire_one_by_one(self, timers: Iterable[Claimed]) -> None:
        for timer in timers:
            self._fire_alone(timer)

    def _fire_alone(self, timer: Claimed) -> None:
        if timer.organisation_id in self._held_up:
            self._held.append(timer.id)
            return
        began = time.monotonic()
        try:
            _fire(timer.id, self._token, self._now())
        except Exception as error:
            raise_if_gone(error)
            if is_held_up(error) and time.monotonic() - began > WAITED_SECONDS:
                self._held_up[timer.organisation_id] = timer.id
            elif is_held_up(error):
                self._held.append(timer.id)
            else:
                # The row stays and comes due again; the others must not wait for whoever mends it.
                text = "timer %s failed; it is tried again in %s s"
                logger.exception(text, timer.id, CLAIM_SECONDS)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """The rows of a batch live until its end. Looking through them for cycles again and again would
    take a fifth of the time, and find none.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_collector_at_rest()
@transaction.atomic
def _fire_together(timers: Sequence[Claimed], token: UUID, at: datetime) -> list[UUID]:
    """Return the timers that the handler left out. Raise `Superseded`, having done nothing."""
    ids = {timer.subject_id: timer.id for timer in timers}
    again = _batch_handlers[timers[0].kind](list(ids), at)
    dealt_with = [ids[subject_id] for subject_id in again]
    with connection.cursor() as cursor:
        cursor.execute(FINISH, {"ids": dealt_with, "times": list(again.values()), "token": token})
        lost = {*dealt_with}.difference(row[0] for row in cursor.fetchall())
    # As in `_fire`: a row that is gone is well, one with another token is somebody else's.
    if lost and Timer.objects.filter(id__in=lost).exists():
        raise Superseded
    return [ids[subject_id] for subject_id in ids.keys() - again.keys()]


@transaction.atomic
def _fire(timer_id: UUID, token: UUID, at: datetime) -> None:
    row = Timer.objects.filter(id=timer_id, claim_token=token).first()
    if row is None:
        return  # Claimed anew by another drain, or gone with its task.
    again_at = _handlers[row.kind](row, at)
    held = Timer.objects.filter(id=timer_id, claim_token=token)
    if again_at is None:
        finished, _ = held.delete()
    else:
        finished = held.update(due_at=again_at, claim_token=None)
    # No row at all is well: the handler's own transition cleared it. A row with another token means
    # that another drain took the timer over while we ran: its effect counts, ours must not.
    if not finished and Timer.objects.filter(id=timer_id).exists():
        transaction.set_rollback(True)
