"""How long deliveries are kept, and how long they are tried for.

What was not delivered within `KEPT` expires, whoever held it up; what is final is deleted with its
message and attempts when it is as old. Everything goes in batches that hold no lock for long.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.models import Organisation
from apps.base import clock
from apps.base.drains import drain
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

    Organisation by organisation, as the indexes of their histories are.
    """
    at = at or clock.now()
    for organisation_id in Organisation.objects.values_list("id", flat=True):
        for statement in (EXPIRE, FORGET, FORGET_MESSAGES):
            drain(partial(_run, statement, organisation_id, at))
    forget_old_keys(at=at)


def _run(statement: str, organisation_id: UUID, at: datetime) -> int:
    bounds: dict[str, Any] = {"organisation": organisation_id, "at": at, "before": at - KEPT}
    with connection.cursor() as cursor:
        cursor.execute(statement, bounds)
        return int(cursor.rowcount)
