"""Locks, in the one order in which everybody takes them: organisation, recovery, origins by id,
destination, deliveries.
"""

from collections.abc import Collection
from uuid import UUID

from apps.webhooks.models import Origin, Recovery


def lock_origins(origin_ids: Collection[UUID]) -> None:
    """Hold the mutexes of these origins' deliveries until we commit."""
    list(Origin.objects.select_for_update(no_key=True).filter(id__in=origin_ids).order_by("id"))


def lock_recoveries(destination_id: UUID) -> None:
    """Hold a destination's recoveries until we commit: a page of one holds it, then the origin."""
    mine = Recovery.objects.select_for_update().filter(destination_id=destination_id)
    list(mine.order_by("id"))
