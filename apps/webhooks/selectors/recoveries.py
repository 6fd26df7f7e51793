"""Read recoveries, and the progress of what each released."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.fields import JSON
from apps.webhooks.models import DeliveryStatus, Recovery
from apps.webhooks.selectors.endpoints import visible_endpoints
from biolayer.errors import NotFound

COUNTS = """
SELECT coalesce(jsonb_object_agg(status, count), '{}') FROM (
    SELECT d.status, count(*) FROM webhooks_delivery d
    WHERE d.recovery_id = webhooks_recovery.id GROUP BY d.status
) counted
"""


def visible_recoveries(
    actor: Principal, scope: Scope = Scope.WEBHOOKS_READ
) -> "QuerySet[Recovery]":
    """Return the recoveries that the actor may see, newest first, without counts.

    A credential for some pools sees those of its visible endpoints. Raise `ScopeMissing`.
    """
    actor.require(scope)
    rows = Recovery.objects.filter(organisation_id=actor.organisation_id)
    if actor.pool_ids is not None:
        rows = rows.filter(destination_id__in=visible_endpoints(actor).values("id"))
    return rows.order_by("-created_at", "-id")


def recoveries(*, actor: Principal, scope: Scope = Scope.WEBHOOKS_READ) -> "QuerySet[Recovery]":
    """Return the visible recoveries with their counts, newest first. Raise `ScopeMissing`."""
    counts = RawSQL(COUNTS, [], output_field=JSON())  # noqa: S611 - a constant
    return visible_recoveries(actor, scope).annotate(counts=counts)


def recovery(
    *, actor: Principal, recovery_id: UUID, scope: Scope = Scope.WEBHOOKS_READ
) -> Recovery:
    """Return a recovery with its counts. Raise `NotFound`, `ScopeMissing`."""
    row = recoveries(actor=actor, scope=scope).filter(id=recovery_id).first()
    if row is None:
        raise NotFound("recovery")
    return row


@dataclass(frozen=True, slots=True)
class RecoveryProgress:
    """Count what a recovery released, and of that the deliveries by result.

    A delivery that a later recovery has taken over counts there.
    """

    # `releasing`, `delivering` or `done`.
    state: str
    released: int
    delivered: int
    failed: int
    pending: int


def recovery_progress(recovery: Recovery) -> RecoveryProgress:
    """Return the progress of a recovery that was read with its counts, or has just started."""
    counts: dict[str, int] = getattr(recovery, "counts", {})
    failed = (DeliveryStatus.EXHAUSTED, DeliveryStatus.EXPIRED)
    unfinished = (DeliveryStatus.PENDING, DeliveryStatus.HELD)
    pending = sum(counts.get(status, 0) for status in unfinished)
    return RecoveryProgress(
        state=_state(recovery, pending),
        released=recovery.released_count,
        delivered=counts.get(DeliveryStatus.SUCCEEDED, 0),
        failed=sum(counts.get(status, 0) for status in failed),
        pending=pending,
    )


def _state(recovery: Recovery, pending: int) -> str:
    if recovery.released_at is None:
        return "releasing"
    return "delivering" if pending else "done"
