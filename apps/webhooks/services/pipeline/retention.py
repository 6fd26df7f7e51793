"""Expire what was not delivered in time; delete old deliveries, callbacks and signing keys.

A delivery that is not delivered within `RETENTION` expires, for any reason; a final one is deleted
with its attempts and message when it is as old. A callback is deleted that long after its task
ended, and a signing key once it has expired (services/keys/). Everything happens in batches that
hold no lock for long.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.models import Organisation
from apps.base import clock
from apps.base.drains import drain, skip_if_locked
from apps.webhooks.services.keys import delete_expired_keys

RETENTION = timedelta(days=30)
BATCH = 2_000

EXPIRE_DELIVERIES = f"""
UPDATE webhooks_delivery SET status = 'expired', finished_at = %(at)s
WHERE id IN (
    SELECT id FROM webhooks_delivery
    WHERE organisation_id = %(organisation)s AND status IN ('pending', 'held')
        AND created_at < %(before)s AND claim_token IS NULL
        -- One that was resent within the period is kept.
        AND NOT (wait = 'resent' AND due_at > %(before)s)
    ORDER BY created_at LIMIT {BATCH} FOR NO KEY UPDATE SKIP LOCKED
)
"""

DELETE_DELIVERIES = f"""
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

DELETE_MESSAGES = f"""
DELETE FROM webhooks_message WHERE id IN (
    SELECT m.id FROM webhooks_message m
    WHERE m.organisation_id = %(organisation)s AND m.created_at < %(before)s
        AND NOT EXISTS (SELECT FROM webhooks_delivery d WHERE d.message_id = m.id)
    ORDER BY m.created_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED
)
"""


def apply_retention(*, at: datetime | None = None) -> None:
    """Expire what is 30 days old and undelivered; delete what is final and as old.

    Organisation by organisation, as the indexes of their histories are. One whose rows are locked
    elsewhere waits for the next pass.
    """
    at = at or clock.now()
    for organisation_id in Organisation.objects.values_list("id", flat=True):
        with skip_if_locked(f"deliveries of {organisation_id}"):
            for statement in (EXPIRE_DELIVERIES, DELETE_DELIVERIES, DELETE_MESSAGES):
                drain(partial(_run, statement, organisation_id, at))
    delete_expired_keys(at=at)


def _run(statement: str, organisation_id: UUID, at: datetime) -> int:
    params: dict[str, Any] = {
        "organisation": organisation_id,
        "at": at,
        "before": at - RETENTION,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return int(cursor.rowcount)


# Return which of some subjects had ended before a time: webhooks do not know what subjects are.
SelectEnded = Callable[[Sequence[UUID], datetime], Collection[UUID]]

OLD_CALLBACKS = f"""
SELECT d.id FROM webhooks_destination d
WHERE d.kind = 'callback' AND d.id > %(after)s AND d.created_at < %(before)s
    AND NOT EXISTS (SELECT FROM webhooks_delivery v WHERE v.destination_id = d.id)
ORDER BY d.id LIMIT {BATCH}
"""
DELETE_CALLBACKS = """
DELETE FROM webhooks_destination WHERE id IN (
    SELECT d.id FROM webhooks_destination d
    WHERE d.id = ANY (%s) AND NOT EXISTS (
        SELECT FROM webhooks_delivery v WHERE v.destination_id = d.id)
    ORDER BY d.id FOR UPDATE SKIP LOCKED
)
"""
LOWEST_ID = UUID(int=0)


def delete_old_callbacks(*, select_ended: SelectEnded, at: datetime | None = None) -> int:
    """Delete callbacks, with their credentials, whose tasks ended more than 30 days ago.

    Those with deliveries, which could be resent, stay. Return how many were deleted.
    """
    before = (at or clock.now()) - RETENTION
    deleted_count, after = 0, LOWEST_ID
    while True:
        with connection.cursor() as cursor:
            cursor.execute(OLD_CALLBACKS, {"after": after, "before": before})
            ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            return deleted_count
        with skip_if_locked("callbacks"), connection.cursor() as cursor:
            cursor.execute(DELETE_CALLBACKS, [list(select_ended(ids, before))])
            deleted_count += int(cursor.rowcount)
        after = ids[-1]
