"""Start recoveries: rows that a drain processes later (releasing.py)."""

from datetime import datetime
from uuid import UUID

from django.db.models import Max, Min

from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base.ids import new_id
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.webhooks import selectors
from apps.webhooks.models import Delivery, DeliveryStatus, Recovery, RecoveryKind
from biolayer.errors import Fault, InvalidInput
from biolayer.requests.webhooks import DEFAULT_RATE_PER_MINUTE, RecoveryRequest


@atomic()
def start_recovery(*, actor: Principal, request: RecoveryRequest, at: datetime) -> Recovery:
    """Start to resend what failed, or to send what an endpoint missed, since a time.

    Raise `NotFound` for an endpoint that the actor does not see, `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    endpoint_id = request.endpoint_id
    if endpoint_id is not None:
        selectors.endpoint(actor=actor, endpoint_id=endpoint_id, scope=Scope.WEBHOOKS_MANAGE)
    elif actor.pool_ids is not None:
        # Without an endpoint it would also resend events of other pools.
        detail = "must name an endpoint that this credential may see"
        raise InvalidInput([Fault("/endpoint_id", "required", detail)])
    recovery = Recovery(
        id=new_id(),
        organisation_id=actor.organisation_id,
        destination_id=endpoint_id,
        kind=RecoveryKind(request.kind),
        since=request.since,
        until=min(request.until or at, at),
        rate_per_minute=request.rate_per_minute,
        created_by=f"{actor.kind}:{actor.id}",
        created_at=at,
        next_slot_at=at,
    )
    recovery.save(force_insert=True)
    record_action(
        actor=actor,
        action=AuditAction.RECOVERY_STARTED,
        subject=("recovery", recovery.id),
        at=at,
        kind=request.kind,
        endpoint_id=None if endpoint_id is None else str(endpoint_id),
    )
    wake("recoveries")
    return recovery


def recover_held(
    *, destination_id: UUID, organisation_id: UUID, created_by: str, at: datetime
) -> None:
    """Start to send what was held for a destination that has just been enabled.

    Its origin must be locked.
    """
    held = Delivery.objects.filter(destination_id=destination_id, status=DeliveryStatus.HELD)
    first, last = held.aggregate(first=Min("created_at"), last=Max("created_at")).values()
    Recovery.objects.create(
        organisation_id=organisation_id,
        destination_id=destination_id,
        kind=RecoveryKind.HELD,
        since=first or at,
        # What was held while the caller waited for the origin's lock is newer than the call.
        until=max(last or at, at),
        rate_per_minute=DEFAULT_RATE_PER_MINUTE,
        created_by=created_by,
        created_at=at,
        next_slot_at=at,
    )
    wake("recoveries")
