"""Setting timers, and firing those that are due: each exactly once, late rather than never.

`fire_due` works in two steps, so that one bad handler cannot hold up the rest:

1. claim: up to `BATCH` due rows get a token and a new due time, `CLAIM_SECONDS` ahead, committed at
   once. If this process dies now, the rows are due again then.
2. fire: each row's handler runs in a transaction of its own that also deletes the row, by its
   token. Effect and deletion commit together: a second drain finds no row, so no second effect.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from apps.base import clock, rows
from apps.base.ids import new_id
from apps.timers.models import Timer

logger = logging.getLogger(__name__)

BATCH = 100
CLAIM_SECONDS = 30

Handler = Callable[[Timer, datetime], datetime | None]
"""Does what the timer is for; answers when to look again, or None when it is done for good."""

_handlers: dict[str, Handler] = {}


def register(kind: str, handler: Handler) -> None:
    """Say what timers of `kind` do. Called by config/wiring.py only."""
    _handlers[kind] = handler


def set_timer(
    *, organisation_id: UUID, kind: str, subject_id: UUID, due_at: datetime
) -> rows.Statement:
    """Due once at `due_at`; a timer of that kind that the subject already has is set anew."""
    return rows.Statement(
        "INSERT INTO timers_timer (id, organisation_id, kind, subject_id, due_at)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (subject_id, kind) DO UPDATE"
        " SET due_at = excluded.due_at, claim_token = NULL",
        (new_id(), organisation_id, kind, subject_id, due_at),
    )


def clear_timers(*, subject_id: UUID) -> rows.Statement:
    """Nothing is due for the subject any more."""
    return rows.Statement("DELETE FROM timers_timer WHERE subject_id = %s", (subject_id,))


CLAIM = f"""
WITH due AS MATERIALIZED (
    SELECT id FROM timers_timer WHERE due_at <= %(at)s
    ORDER BY due_at, id LIMIT {BATCH} FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE timers_timer SET due_at = %(until)s, claim_token = %(token)s
FROM due WHERE timers_timer.id = due.id
RETURNING timers_timer.id
"""


def fire_due(*, at: datetime | None = None) -> int:
    """Fire one batch of timers due at `at` (the database's now). Answers how many were claimed."""
    moment = at or clock.now()
    token = new_id()
    until = moment + timedelta(seconds=CLAIM_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {"at": moment, "until": until, "token": token})
        claimed = [row[0] for row in cursor.fetchall()]
    for timer_id in claimed:
        _fire_safely(timer_id, token, at)
    return len(claimed)


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
