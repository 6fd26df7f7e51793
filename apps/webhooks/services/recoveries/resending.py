"""Resend one delivery at once."""

from datetime import datetime
from uuid import UUID

from django.db.models import F, Q

from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.webhooks import selectors
from apps.webhooks.models import (
    Delivery,
    DeliveryStatus,
    Destination,
    DestinationKind,
    DestinationStatus,
    WaitReason,
)
from apps.webhooks.services.locks import lock_origins
from apps.webhooks.services.recoveries.starting import recover_held


@atomic()
def resend(*, actor: Principal, delivery_id: UUID, at: datetime) -> Delivery:
    """Send a delivery of any status again, with its whole retry budget.

    A callback that was disabled by a 410 is enabled by that. Raise `NotFound`, `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    delivery = _visible(actor, delivery_id)
    lock_origins([delivery.origin_id, delivery.destination.origin_id])
    # Its endpoint may have moved since it was created.
    origin_id = Destination.objects.only("origin_id").get(id=delivery.destination_id).origin_id
    rows = Delivery.objects.filter(id=delivery.id)
    rows.update(forgiven_count=F("attempt_count"))
    # An attempt that is under way continues, with the whole budget.
    rows.filter(claim_token=None).update(
        status=DeliveryStatus.PENDING,
        was_exhausted=Q(was_exhausted=True) | Q(status=DeliveryStatus.EXHAUSTED),
        origin_id=origin_id,
        due_at=at,
        wait=WaitReason.RESENT,
        finished_at=None,
    )
    _enable_callback(delivery, at)
    subject = ("delivery", delivery_id)
    record_action(actor=actor, action=AuditAction.DELIVERY_RESENT, subject=subject, at=at)
    wake("deliveries")
    return _visible(actor, delivery_id)


def _visible(actor: Principal, delivery_id: UUID) -> Delivery:
    return selectors.delivery(actor=actor, delivery_id=delivery_id, scope=Scope.WEBHOOKS_MANAGE)


def _enable_callback(delivery: Delivery, at: datetime) -> None:
    disabled = Destination.objects.filter(
        id=delivery.destination_id,
        kind=DestinationKind.CALLBACK,
        status=DestinationStatus.DISABLED,
    )
    if disabled.update(status=DestinationStatus.ENABLED, disabled_reason=""):
        recover_held(
            destination_id=delivery.destination_id,
            organisation_id=delivery.organisation_id,
            created_by="resend",
            at=at,
        )
