"""Create endpoints and events without tasks, for the tests of deliveries."""

from datetime import datetime
from typing import Any
from uuid import UUID

from apps.base import rows
from apps.base.ids import new_id
from apps.webhooks import changes
from apps.webhooks.models import Delivery, Destination, DestinationKind, Origin
from apps.webhooks.origins import origin_id, origin_of
from apps.webhooks.outbound_event import OutboundEvent
from tests.factories import House


def endpoint(house: House, url: str, **columns: Any) -> Destination:
    """Create an enabled endpoint of Alice's organisation, for all events of tasks."""
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


def emit(
    house: House,
    *,
    subject_id: UUID | None = None,
    sequence: int = 1,
    event_type: str = "task.created",
    at: datetime,
    **filters: Any,
) -> UUID:
    """Write an event with its deliveries. Return its subject."""
    subject_id = subject_id or new_id()
    data = {"task_id": str(subject_id), "sequence": sequence}
    event = OutboundEvent(
        house.organisation.id, subject_id, sequence, event_type, at, data, **filters
    )
    rows.write(changes.event_fan_out(event))
    return subject_id


def emit_many(house: House, *, subjects: int, each: int, at: datetime) -> list[UUID]:
    """Write `each` events of each of some subjects, at the same time. Return the subjects."""
    subject_ids = [new_id() for _ in range(subjects)]
    for sequence in range(1, each + 1):
        for subject_id in subject_ids:
            emit(house, subject_id=subject_id, sequence=sequence, at=at)
    return subject_ids


def origin(destination: Destination) -> Origin:
    return Origin.objects.get(id=destination.origin_id)


def counts(**lookups: Any) -> dict[str, int]:
    """Count deliveries by status."""
    by_status: dict[str, int] = {}
    for status in Delivery.objects.filter(**lookups).values_list("status", flat=True):
        by_status[status] = by_status.get(status, 0) + 1
    return by_status
