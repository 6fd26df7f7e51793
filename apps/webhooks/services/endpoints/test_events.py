"""Send an example event to an endpoint, through the same pipeline as any other."""

from datetime import datetime
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.ids import new_id
from apps.base.rows import Insert, write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.webhooks import selectors
from apps.webhooks.models import Delivery, Destination, DestinationStatus
from apps.webhooks.outbound_event import OutboundEvent, new_delivery
from biolayer.errors import EndpointNotEnabled, NotFound
from biolayer.events import example

# The fields that the thin payload of each family has of an event's data.
IDS = {
    "task": ("task_id", "sequence"),
    "review": ("task_id", "sequence"),
    "appeal": ("task_id", "sequence"),
    "endpoint": ("endpoint_id",),
    "delivery": ("delivery_id",),
}


@atomic()
def send_test_event(
    *, actor: Principal, endpoint_id: UUID, event_type: str, at: datetime
) -> Delivery:
    """Send the catalogue's example of an event type to an endpoint, regardless of its filters.

    It is signed, checked, paced and retried like any delivery; the receiver can tell it by its
    invented ids only. Raise `EndpointNotEnabled`, `NotFound`, `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    visible = selectors.endpoint(actor=actor, endpoint_id=endpoint_id, scope=Scope.WEBHOOKS_MANAGE)
    endpoint = Destination.objects.select_for_update(no_key=True).filter(id=visible.id).first()
    if endpoint is None:
        raise NotFound("endpoint")
    if endpoint.status != DestinationStatus.ENABLED:
        # It would be held, and arrive long after the test.
        raise EndpointNotEnabled(endpoint.status)
    message = _event(endpoint, event_type, at).message()
    delivery = new_delivery(message, destination_id=endpoint.id, origin_id=endpoint.origin_id)
    write([Insert(message), Insert(delivery)])
    wake("deliveries")
    return selectors.delivery(actor=actor, delivery_id=delivery.id, scope=Scope.WEBHOOKS_MANAGE)


def _event(endpoint: Destination, event_type: str, at: datetime) -> OutboundEvent:
    return OutboundEvent(
        organisation_id=endpoint.organisation_id,
        # A subject of its own: it is ordered before and after no real event.
        subject_id=new_id(),
        sequence=1,
        event_type=event_type,
        occurred_at=at,
        data=example(event_type, at=at)["data"],
        ids=IDS[event_type.partition(".")[0]],
        # A credential that sees the endpoint sees its tests.
        pool_ids=endpoint.pool_ids,
        is_test=True,
    )
