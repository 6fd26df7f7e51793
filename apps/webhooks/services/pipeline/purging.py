"""Delete the messages, deliveries and callbacks of subjects whose content is purged.

What was not delivered by then never is. Rows that another transaction has locked are left, and
their subjects returned: a delivery that is being recorded, say. A delivery that is being sent is
deleted; its result then finds no claim, and leaves no trace.
"""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

# A delivery may be the subject of messages itself: `delivery.exhausted`.
MESSAGES = """
WITH own AS MATERIALIZED (
    SELECT id, subject_id FROM webhooks_message WHERE subject_id = ANY(%s)
)
SELECT id, subject_id FROM own
UNION
SELECT m.id, own.subject_id FROM own JOIN webhooks_delivery d ON d.message_id = own.id
JOIN webhooks_message m ON m.subject_id = d.id
"""
DELETE_DELIVERIES = """
WITH locked AS MATERIALIZED (
    SELECT id FROM webhooks_delivery WHERE message_id = ANY(%s) ORDER BY id FOR UPDATE SKIP LOCKED
), attempts AS (
    DELETE FROM webhooks_attempt WHERE delivery_id IN (SELECT id FROM locked)
)
DELETE FROM webhooks_delivery WHERE id IN (SELECT id FROM locked)
"""
DELETE_MESSAGES = """
DELETE FROM webhooks_message WHERE id IN (
    SELECT m.id FROM webhooks_message m
    WHERE m.id = ANY(%s)
        AND NOT EXISTS (SELECT FROM webhooks_delivery d WHERE d.message_id = m.id)
    ORDER BY m.id FOR UPDATE SKIP LOCKED
)
RETURNING id
"""
DELETE_CALLBACKS = """
DELETE FROM webhooks_destination WHERE id IN (
    SELECT id FROM webhooks_destination
    WHERE id = ANY(%s) AND kind = 'callback' ORDER BY id FOR UPDATE SKIP LOCKED
)
"""
LEFT_CALLBACKS = "SELECT id FROM webhooks_destination WHERE id = ANY(%s) AND kind = 'callback'"


def purge_subjects(subject_ids: Sequence[UUID]) -> Collection[UUID]:
    """Delete what is stored for some subjects. Return those of which a row was locked."""
    messages: dict[UUID, UUID] = dict(_run(MESSAGES, subject_ids, returns=True))
    _run(DELETE_DELIVERIES, messages)
    deleted = {row[0] for row in _run(DELETE_MESSAGES, messages, returns=True)}
    locked = {subject for message, subject in messages.items() if message not in deleted}
    free = [subject_id for subject_id in subject_ids if subject_id not in locked]
    _run(DELETE_CALLBACKS, free)
    return locked | {row[0] for row in _run(LEFT_CALLBACKS, free, returns=True)}


def _run(sql: str, ids: Collection[UUID], *, returns: bool = False) -> list[tuple[Any, ...]]:
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(ids)])
        return cursor.fetchall() if returns else []
