"""Read the bodies of events as receivers get them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

BODIES = """
SELECT m.subject_id, m.sequence, m.body FROM webhooks_message m
JOIN unnest(%s::uuid[], %s::int[]) AS event (subject_id, sequence) USING (subject_id, sequence)
"""


def bodies(events: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], Any]:
    """Return the full bodies of events (subject and sequence), as JSON values.

    Events whose messages retention has deleted are missing.
    """
    subjects = [subject_id for subject_id, _ in events]
    sequences = [sequence for _, sequence in events]
    with connection.cursor() as cursor:
        cursor.execute(BODIES, [subjects, sequences])
        rows = cursor.fetchall()
    return {(subject_id, sequence): orjson.loads(body) for subject_id, sequence, body in rows}
