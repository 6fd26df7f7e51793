"""Lock rows in the one order that all of webhooks keeps.

The order is: organisation, recovery, origins by id, destination, deliveries.
"""

from collections.abc import Collection
from uuid import UUID

from apps.webhooks.models import Origin, Recovery


def lock_origins(origin_ids: Collection[UUID]) -> None:
    """Lock origins, which are the mutexes of their deliveries, until the transaction ends."""
    list(Origin.objects.select_for_update(no_key=True).filter(id__in=origin_ids).order_by("id"))


def lock_recoveries(destination_id: UUID) -> None:
    """Lock a destination's recoveries: releasing a page locks its recovery, then the origin."""
    recoveries = Recovery.objects.select_for_update().filter(destination_id=destination_id)
    list(recoveries.order_by("id"))
