"""Endpoints, and events for them, without a task behind each: for the tests of deliveries."""

from datetime import datetime
from typing import Any
from uuid import UUID

from apps.base import rows
from apps.base.ids import new_id
from apps.webhooks import changes
from apps.webhooks.fan_out import OutboundEvent
from apps.webhooks.models import Delivery, Destination, DestinationKind, Origin
from apps.webhooks.origins import origin_id, origin_of
from tests.factories import House


def endpoint(house: House, url: str, **columns: Any) -> Destination:
    """An enabled endpoint of Alice's organisation that wants every event of tasks."""
    organisation_id = house.organisation.id
    text = origin_of(url)
    rows.write([changes.origin_insert(organisation_id=organisation_id, text=text)])
    columns = {"event_types": ["task.*"], "auth_type": "none", **columns}
    return Destination.objects.create(
        organisation_id=organisation_id,
        kind=DestinationKind.ENDPOINT,
        origin_id=origin_id(organisation_id, text),
        url=url,
        **columns,
    )


def tell(
    house: House,
    *,
    subject_id: UUID | None = None,
    sequence: int = 1,
    event_type: str = "task.created",
    at: datetime,
    **filters: Any,
) -> UUID:
    """An event for whoever wants it; its subject."""
    subject_id = subject_id or new_id()
    data = {"task_id": str(subject_id), "sequence": sequence}
    event = OutboundEvent(
        house.organisation.id, subject_id, sequence, event_type, at, data, **filters
    )
    rows.write(changes.event_fan_out(event))
    return subject_id


def tell_many(house: House, *, subjects: int, each: int, at: datetime) -> list[UUID]:
    """`each` events of each of some subjects, all at once."""
    told = [new_id() for _ in range(subjects)]
    for sequence in range(1, each + 1):
        for subject_id in told:
            tell(house, subject_id=subject_id, sequence=sequence, at=at)
    return told


def origin(destination: Destination) -> Origin:
    return Origin.objects.get(id=destination.origin_id)


def counts(**wanted: Any) -> dict[str, int]:
    """Deliveries by status."""
    found: dict[str, int] = {}
    for status in Delivery.objects.filter(**wanted).values_list("status", flat=True):
        found[status] = found.get(status, 0) + 1
    return found
