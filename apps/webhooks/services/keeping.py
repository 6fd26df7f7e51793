"""How long deliveries are kept, and how long they are tried for.

What was not delivered within `KEPT` expires, whoever held it up; what is final is deleted with its
message and attempts when it is as old. Everything goes in batches that hold no lock for long.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.models import Organisation
from apps.base import clock
from apps.base.drains import drain, skip_if_held
from apps.webhooks.services.keys import forget_old_keys

KEPT = timedelta(days=30)
BATCH = 2_000

EXPIRE = f"""
UPDATE webhooks_delivery SET status = 'expired', finished_at = %(at)s
WHERE id IN (
    SELECT id FROM webhooks_delivery
    WHERE organisation_id = %(organisation)s AND status IN ('pending', 'held') AND created_at < %(before)s AND claim_token IS NULL
        -- One that was sent for again not long ago is still wanted.
        AND NOT (wait = 'resent' AND due_at > %(before)s)
    ORDER BY created_at LIMIT {BATCH} FOR NO KEY UPDATE SKIP LOCKED
)
"""

FORGET = f"""
WITH old AS MATERIALIZED (
    SELECT id FROM webhooks_delivery
    WHERE organisation_id = %(organisation)s AND created_at < %(before)s
        AND status IN ('succeeded', 'exhausted', 'expired') AND finished_at < %(before)s
    ORDER BY created_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED
), attempts AS (
    DELETE FROM webhooks_attempt WHERE delivery_id IN (SELECT id FROM old)
)
DELETE FROM webhooks_delivery WHERE id IN (SELECT id FROM old)
"""

FORGET_MESSAGES = f"""
DELETE FROM webhooks_message WHERE id IN (
    SELECT m.id FROM webhooks_message m
    WHERE m.organisation_id = %(organisation)s AND m.created_at < %(before)s
        AND NOT EXISTS (SELECT FROM webhooks_delivery d WHERE d.message_id = m.id)
    ORDER BY m.created_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED
)
"""


def tidy_up(*, at: datetime | None = None) -> None:
    """Expire what is 30 days old and undelivered; delete what is final and as old.

    Organisation by organisation, as the indexes of their histories are. One that is held up by others
    waits for the next pass.
    """
    at = at or clock.now()
    for organisation_id in Organisation.objects.values_list("id", flat=True):
        with skip_if_held(f"deliveries of {organisation_id}"):
            for statement in (EXPIRE, FORGET, FORGET_MESSAGES):
                drain(partial(_run, statement, organisation_id, at))
    forget_old_keys(at=at)


def _run(statement: str, organisation_id: UUID, at: datetime) -> int:
    bounds: dict[str, Any] = {"organisation": organisation_id, "at": at, "before": at - KEPT}
    with connection.cursor() as cursor:
        cursor.execute(statement, bounds)
        return int(cursor.rowcount)


AreOver = Callable[[Sequence[UUID], datetime], Collection[UUID]]
"""Returns those of the subjects that had ended by a time; which they are, this room does not know."""

OLD_CALLBACKS = f"""
SELECT d.id FROM webhooks_destination d
WHERE d.kind = 'callback' AND d.id > %(after)s AND d.created_at < %(before)s
    AND NOT EXISTS (SELECT FROM webhooks_delivery v WHERE v.destination_id = d.id)
ORDER BY d.id LIMIT {BATCH}
"""
FORGET_CALLBACKS = """
DELETE FROM webhooks_destination WHERE id IN (
    SELECT d.id FROM webhooks_destination d
    WHERE d.id = ANY (%s) AND NOT EXISTS (
        SELECT FROM webhooks_delivery v WHERE v.destination_id = d.id)
    ORDER BY d.id FOR UPDATE SKIP LOCKED
)
"""
FIRST = UUID(int=0)


def forget_callbacks(*, are_over: AreOver, at: datetime | None = None) -> int:
    """Delete the callbacks, with their credentials, of what ended more than 30 days ago and has nothing
    left to be sent again. Return how many.
    """
    before = (at or clock.now()) - KEPT
    forgotten, after = 0, FIRST
    while True:
        with connection.cursor() as cursor:
            cursor.execute(OLD_CALLBACKS, {"after": after, "before": before})
            old = [row[0] for row in cursor.fetchall()]
        if not old:
            return forgotten
        with skip_if_held("callbacks"), connection.cursor() as cursor:
            cursor.execute(FORGET_CALLBACKS, [list(are_over(old, before))])
            forgotten += int(cursor.rowcount)
        after = old[-1]
