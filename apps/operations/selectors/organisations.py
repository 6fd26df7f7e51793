"""Read how many open tasks organisations have, for the staff of the installation."""

from collections.abc import Collection
from uuid import UUID

from django.db import connection

OPEN_TASKS = """
SELECT organisation_id, sum(number)::int FROM (
    SELECT organisation_id, number FROM operations_taskcount WHERE organisation_id = ANY (%(ids)s)
    UNION ALL
    SELECT organisation_id,
        number * ((stage IS NOT NULL)::int - (left_stage IS NOT NULL)::int)
    FROM operations_taskchange WHERE organisation_id = ANY (%(ids)s)
) counted
GROUP BY organisation_id
"""


def open_tasks_of(organisation_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return how many open tasks each of these organisations has, by one statement."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN_TASKS, {"ids": list(organisation_ids)})
        return dict(cursor.fetchall())
