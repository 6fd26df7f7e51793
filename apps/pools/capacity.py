"""Taking of workers' capacity what is there, and never more."""

from collections.abc import Mapping
from uuid import UUID

from django.db import connection

TAKE = """
WITH room AS MATERIALIZED (
    SELECT w.id, wanted.units
    FROM unnest(%s::uuid[], %s::int[]) AS wanted (id, units) JOIN pools_worker w ON w.id = wanted.id
    WHERE w.presence = 'available' AND w.is_on_shift AND w.snoozed_until IS NULL
        AND w.load + wanted.units <= w.capacity
    ORDER BY w.id FOR NO KEY UPDATE OF w SKIP LOCKED
)
UPDATE pools_worker w SET load = w.load + room.units FROM room WHERE w.id = room.id RETURNING w.id
"""
"""A row that was locked is looked at again as it is then, so the condition holds when it is written.
One that somebody else holds is passed over: nobody waits here, so nobody can wait in a circle."""


def take(units: Mapping[UUID, int]) -> set[UUID]:
    """Take units of workers; answers those who had them to give, and may be asked now."""
    if not units:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [list(units), list(units.values())])
        return {row[0] for row in cursor.fetchall()}
