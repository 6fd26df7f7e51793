"""Reading recoveries: how far each came, and what became of what it released."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.fields import JSON
from apps.webhooks.models import DeliveryStatus, Recovery
from apps.webhooks.selectors.endpoints import visible_endpoints
from apps.webhooks.selectors.times import shown_time
from biolayer.errors import NotFound
from biolayer.times import format_time

COUNTS = """
SELECT coalesce(jsonb_object_agg(status, count), '{}') FROM (
    SELECT d.status, count(*) FROM webhooks_delivery d
    WHERE d.recovery_id = webhooks_recovery.id GROUP BY d.status
) counted
"""


def recoveries(*, actor: Principal, scope: Scope = Scope.WEBHOOKS_READ) -> "QuerySet[Recovery]":
    """What the actor may see, newest first: where its pools are restricted, those of the endpoints
    that it sees. Raises `ScopeMissing`.
    """
    actor.require(scope)
    mine = (
        Recovery.objects.filter(organisation_id=actor.organisation_id)
        .annotate(counts=RawSQL(COUNTS, [], output_field=JSON()))  # noqa: S611 - a constant
        .order_by("-created_at", "-id")
    )
    if actor.pool_ids is None:
        return mine
    return mine.filter(destination_id__in=visible_endpoints(actor).values("id"))


def recovery(
    *, actor: Principal, recovery_id: UUID, scope: Scope = Scope.WEBHOOKS_READ
) -> Recovery:
    """Raises `NotFound`, `ScopeMissing`."""
    found = recoveries(actor=actor, scope=scope).filter(id=recovery_id).first()
    if found is None:
        raise NotFound("recovery")
    return found


def shown_recovery(recovery: Recovery) -> dict[str, Any]:
    """A recovery with its progress. What a later recovery took over counts there."""
    progress = _progress(recovery)
    return {
        "recovery_id": str(recovery.id),
        "kind": recovery.kind,
        "endpoint_id": recovery.destination_id and str(recovery.destination_id),
        "since": format_time(recovery.since),
        "until": format_time(recovery.until),
        "rate_per_minute": recovery.rate_per_minute,
        "state": _state(recovery, progress["pending"]),
        "progress": progress,
        "created_at": format_time(recovery.created_at),
        "released_at": shown_time(recovery.released_at),
    }


def _progress(recovery: Recovery) -> dict[str, int]:
    # One that was just started was not read with its counts: it has none yet.
    counts: dict[str, int] = getattr(recovery, "counts", {})
    failed = (DeliveryStatus.EXHAUSTED, DeliveryStatus.EXPIRED)
    unfinished = (DeliveryStatus.PENDING, DeliveryStatus.HELD)
    return {
        "released": recovery.released_count,
        "delivered": counts.get(DeliveryStatus.SUCCEEDED, 0),
        "failed": sum(counts.get(status, 0) for status in failed),
        "pending": sum(counts.get(status, 0) for status in unfinished),
    }


def _state(recovery: Recovery, pending: int) -> str:
    if recovery.released_at is None:
        return "releasing"
    return "delivering" if pending else "done"
