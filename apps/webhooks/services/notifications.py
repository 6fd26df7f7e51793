"""Take back the delivery of a notification that no one is to get any more."""

from datetime import datetime
from uuid import UUID

from apps.webhooks.models import Delivery, DeliveryStatus, Message
from apps.webhooks.services.locks import lock_origins


def withdraw_notification(delivery_id: UUID) -> datetime | None:
    """Delete a delivery and its message unless it has succeeded. Return when it has, else None.

    An attempt that is under way goes on; its result then finds no claim, and leaves no trace.
    """
    known = Delivery.objects.filter(id=delivery_id).first()
    if known is None:
        return None
    lock_origins([known.origin_id])
    delivery = Delivery.objects.filter(id=delivery_id).first()
    if delivery is None:
        return None
    if delivery.status == DeliveryStatus.SUCCEEDED:
        return delivery.finished_at
    delivery.delete()
    Message.objects.filter(id=known.message_id).delete()
    return None
