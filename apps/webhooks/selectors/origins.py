"""Read the hosts that an organisation sends to, and the state of their breakers."""

from datetime import datetime

from django.db.models import DateTimeField, IntegerField, QuerySet
from django.db.models.expressions import RawSQL

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.webhooks.models import Origin
from apps.webhooks.selectors.endpoints import MAX_COUNTED, visible_endpoints

PENDING = f"""
SELECT count(*) FROM (
    SELECT FROM webhooks_delivery d WHERE d.origin_id = webhooks_origin.id
        AND d.status = 'pending' LIMIT {MAX_COUNTED}
) counted
"""
OLDEST_DUE = """
SELECT min(d.due_at) FROM webhooks_delivery d
WHERE d.origin_id = {origin} AND d.status = 'pending'
"""
RECENT_MINUTES = 5


def breaker_state(origin: Origin, *, at: datetime) -> str:
    """Return `closed`, `open` (nothing is sent) or `probing` (one attempt may be made)."""
    if origin.open_until is None:
        return "closed"
    return "open" if origin.open_until > at else "probing"


def recent_attempts(origin: Origin, *, at: datetime) -> tuple[int, int]:
    """Return how many attempts the last five minutes had, and how many of them failed."""
    since = int(at.timestamp() // 60) - RECENT_MINUTES
    counts = [count for count in origin.recent if count[0] > since]
    return sum(count[1] for count in counts), sum(count[2] for count in counts)


def oldest_due(*, origin_column: str) -> RawSQL:
    """Return an annotation: when the first pending delivery of an origin is due."""
    return RawSQL(  # noqa: S611 - constants only
        OLDEST_DUE.format(origin=origin_column), [], output_field=DateTimeField()
    )


def origins(*, actor: Principal, scope: Scope = Scope.WEBHOOKS_READ) -> "QuerySet[Origin]":
    """Return the hosts of the organisation's endpoints and callbacks, by name, with their queues.

    A credential for some pools sees the hosts of its visible endpoints. Raise `ScopeMissing`.
    """
    actor.require(scope)
    rows = (
        Origin.objects.filter(organisation_id=actor.organisation_id)
        .annotate(
            pending_count=RawSQL(PENDING, [], output_field=IntegerField()),  # noqa: S611
            oldest_due_at=oldest_due(origin_column="webhooks_origin.id"),
        )
        .order_by("text", "id")
    )
    if actor.pool_ids is None:
        return rows
    return rows.filter(id__in=visible_endpoints(actor).values("origin_id"))
