"""Setting timers, and firing those that are due: each exactly once, late rather than never.

`fire_due` works in two steps, so that one bad handler cannot hold up the rest:

1. claim: up to `BATCH` due rows get a token and a new due time, `CLAIM_SECONDS` ahead, committed at
   once. If this process dies now, the rows are due again then.
2. fire: each row's handler runs in a transaction of its own that also deletes the row, by its
   token. Effect and deletion commit together: a second drain finds no row, so no second effect.

Where thousands are due at once, a transaction for each is too slow. A kind may have a handler for
many, which locks what it can get without waiting, and deals with all of it in one transaction. What
it could not get is given back; and when it fails, its timers are fired one by one, so that a bad row
costs the others time and nothing else. However many processes drain, none waits for another.
"""

import gc
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from apps.base import clock, rows
from apps.base.ids import new_id
from apps.base.wake import wake
from apps.timers.models import Timer

logger = logging.getLogger(__name__)

BATCH = 250
CLAIM_SECONDS = 30

Handler = Callable[[Timer, datetime], datetime | None]
"""Does what the timer is for; answers when to look again, or None when it is done for good."""

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


def set_timer(*, organisation_id: UUID, kind: str, subject_id: UUID, due_at: datetime) -> rows.Each:
    """Due once at `due_at`; a timer of that kind that the subject already has is set anew."""
    timer = {
        "id": new_id(),
        "organisation_id": organisation_id,
        "kind": kind,
        "subject_id": subject_id,
        "due_at": due_at,
    }
    return rows.Each(SET, timer)


def clear_timers(*, subject_id: UUID) -> rows.Each:
    """Nothing is due for the subject any more."""
    return rows.Each(CLEAR, {"subject_id": subject_id})


CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id FROM timers_timer WHERE due_at <= %(at)s
    ORDER BY due_at, id LIMIT %(batch)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE timers_timer SET due_at = %(until)s, claim_token = %(token)s
FROM due WHERE timers_timer.id = due.id
RETURNING kind, subject_id, timers_timer.id
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

Timers = Mapping[UUID, UUID]
"""Claimed timers of a kind: subject -> timer."""


class Superseded(Exception):
    """Another drain took a timer over while we ran: its effect counts, ours must not."""


def fire_due(*, at: datetime | None = None) -> int:
    """Fire one batch of timers due at `at` (the database's now). Answers how many were claimed."""
    moment = at or clock.now()
    token = new_id()
    claimed = _claim(token, moment)
    count = sum(map(len, claimed.values()))
    if count == BATCH:
        wake("timers")  # There is more: another process may have at it, too.
    for kind, timers in claimed.items():
        for timer_id in _fire_many(kind, timers, token, at):
            _fire_safely(timer_id, token, at)
    return count


def _claim(token: UUID, at: datetime) -> Mapping[str, Timers]:
    """Kind by kind, the timers that are claimed."""
    until = at + timedelta(seconds=CLAIM_SECONDS)
    claimed: dict[str, dict[UUID, UUID]] = {}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {"at": at, "until": until, "token": token, "batch": BATCH})
        for kind, subject_id, timer_id in cursor.fetchall():
            claimed.setdefault(kind, {})[subject_id] = timer_id
    return claimed


def _fire_many(kind: str, timers: Timers, token: UUID, at: datetime | None) -> list[UUID]:
    """Fire timers of a kind together, if it knows how to. Answers those that are to be fired alone."""
    ids = list(timers.values())
    if kind not in _batch_handlers or len(ids) == 1:
        return ids
    moment = at or clock.now()
    try:
        left = _fire_together(kind, timers, token, moment)
    except Exception:
        logger.exception("%s timers %s failed together; they are fired one by one", len(ids), kind)
        return ids
    # Where others have all of them, one is waited for, so that no pass is in vain.
    alone = left[:1] if len(left) == len(ids) else []
    _give_back(left[len(alone) :], token, moment)
    return alone


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
def _fire_together(kind: str, timers: Timers, token: UUID, at: datetime) -> list[UUID]:
    """Answers the timers that the handler left out. Raises `Superseded`, having done nothing."""
    again = _batch_handlers[kind](list(timers), at)
    dealt_with = [timers[subject_id] for subject_id in again]
    with connection.cursor() as cursor:
        cursor.execute(FINISH, {"ids": dealt_with, "times": list(again.values()), "token": token})
        lost = {*dealt_with}.difference(row[0] for row in cursor.fetchall())
    # As in `_fire`: a row that is gone is well, one with another token is somebody else's.
    if lost and Timer.objects.filter(id__in=lost).exists():
        raise Superseded
    return [timers[subject_id] for subject_id in timers.keys() - again.keys()]


def _give_back(timer_ids: Sequence[UUID], token: UUID, at: datetime) -> None:
    if timer_ids:
        held = Timer.objects.filter(id__in=timer_ids, claim_token=token)
        held.update(due_at=at, claim_token=None)


def _fire_safely(timer_id: UUID, token: UUID, at: datetime | None) -> None:
    try:
        _fire(timer_id, token, at or clock.now())
    except Exception:
        # The row stays and comes due again; the others must not wait for whoever mends this one.
        logger.exception("timer %s failed; it is tried again in %s s", timer_id, CLAIM_SECONDS)


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
