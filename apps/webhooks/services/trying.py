"""Trying an endpoint out: an invented event that goes the way of all others."""

from datetime import datetime
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.ids import new_id
from apps.base.rows import Insert, write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.webhooks import selectors
from apps.webhooks.models import Delivery, Destination, DestinationStatus, Message
from apps.webhooks.services.announcing import Telling
from biolayer.errors import EndpointNotEnabled, NotFound
from biolayer.events import example

IDS = {
    "task": ("task_id", "sequence"),
    "endpoint": ("endpoint_id",),
    "delivery": ("delivery_id",),
}
"""What the thin payload of each family has of an event's data."""


@atomic()
def send_test_event(
    *, actor: Principal, endpoint_id: UUID, event_type: str, at: datetime
) -> Delivery:
    """Send the catalogue's example of an event type to an endpoint, whatever it filters by.

    It is signed, guarded, paced and tried again like any delivery; nothing else shows that it is a
    test than its invented ids. Raises `EndpointNotEnabled`, `NotFound`, `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    known = selectors.endpoint(actor=actor, endpoint_id=endpoint_id, scope=Scope.WEBHOOKS_MANAGE)
    endpoint = Destination.objects.select_for_update(no_key=True).filter(id=known.id).first()
    if endpoint is None:
        raise NotFound("endpoint")
    if endpoint.status != DestinationStatus.ENABLED:
        # Held, it would arrive at a time when nobody looks for it.
        raise EndpointNotEnabled(endpoint.status)
    message = _message(endpoint, event_type, at)
    delivery = Delivery(
        id=new_id(),
        organisation_id=endpoint.organisation_id,
        destination_id=endpoint.id,
        origin_id=endpoint.origin_id,
        message_id=message.id,
        subject_id=message.subject_id,
        sequence=message.sequence,
        event_type=event_type,
        due_at=at,
        created_at=at,
    )
    write([Insert(message), Insert(delivery)])
    wake("deliveries")
    return selectors.delivery(actor=actor, delivery_id=delivery.id, scope=Scope.WEBHOOKS_MANAGE)


def _message(endpoint: Destination, event_type: str, at: datetime) -> Message:
    message = Telling(
        organisation_id=endpoint.organisation_id,
        # A lane of its own: it waits for no real event, and none waits for it.
        subject_id=new_id(),
        sequence=1,
        event_type=event_type,
        occurred_at=at,
        data=example(event_type, at=at)["data"],
        ids=IDS[event_type.partition(".")[0]],
        # Whoever sees the endpoint sees its tests.
        pool_ids=endpoint.pool_ids,
    ).message()
    message.is_test = True
    return message
