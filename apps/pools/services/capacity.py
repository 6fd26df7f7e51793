"""Reserve the capacity of workers. See `apps.pools.changes` for what transitions change of it."""

from collections.abc import Mapping
from uuid import UUID

from django.db import connection

RESERVE = """
UPDATE pools_worker w SET load = w.load + reserved.units
FROM unnest(%s::uuid[], %s::int[]) AS reserved (id, units) WHERE w.id = reserved.id
"""


def reserve_capacity(units: Mapping[UUID, int]) -> None:
    """Take units of workers locked by `lock_workers_with_capacity` in the same transaction."""
    if units:
        with connection.cursor() as cursor:
            cursor.execute(RESERVE, [list(units), list(units.values())])
