"""Read an organisation's endpoints, and how many deliveries wait for each."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import IntegerField, QuerySet
from django.db.models.expressions import RawSQL

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.webhooks.models import Destination, DestinationKind
from biolayer.errors import NotFound

# Longer queues are not counted to their end: the exact number helps no reader.
MAX_COUNTED = 10_000

UNDER_WAY = """
SELECT count(*) FROM webhooks_delivery d WHERE d.origin_id = webhooks_destination.origin_id
    AND d.claim_token IS NOT NULL AND d.due_at > statement_timestamp()
"""
PENDING = f"""
SELECT count(*) FROM (
    SELECT FROM webhooks_delivery d WHERE d.origin_id = webhooks_destination.origin_id
        AND d.status = 'pending' LIMIT {MAX_COUNTED}
) counted
"""
HELD = f"""
SELECT count(*) FROM (
    SELECT FROM webhooks_delivery d WHERE d.destination_id = webhooks_destination.id
        AND d.status = 'held' LIMIT {MAX_COUNTED}
) counted
"""

COUNTS = {
    name: RawSQL(sql, [], output_field=IntegerField())  # noqa: S611 - constants only
    for name, sql in [
        ("under_way_count", UNDER_WAY),
        ("pending_count", PENDING),
        ("held_count", HELD),
    ]
}


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Count the deliveries of an endpoint's origin, and those held for the endpoint itself."""

    under_way: int
    pending: int
    held: int


def queue_counts(endpoint: Any) -> QueueCounts:
    """Return the counts that were read with an endpoint by `endpoints` or `endpoint`."""
    return QueueCounts(endpoint.under_way_count, endpoint.pending_count, endpoint.held_count)


def visible_endpoints(actor: Principal) -> "QuerySet[Destination]":
    """Return the endpoints that the actor may see.

    A credential for some pools sees the endpoints that receive no other pool's events.
    """
    rows = Destination.objects.filter(
        organisation_id=actor.organisation_id, kind=DestinationKind.ENDPOINT
    )
    if actor.pool_ids is None:
        return rows
    return rows.filter(pool_ids__contained_by=list(actor.pool_ids))


def endpoints(*, actor: Principal, scope: Scope = Scope.WEBHOOKS_READ) -> "QuerySet[Destination]":
    """Return the visible endpoints with their counts, newest first. Raise `ScopeMissing`."""
    actor.require(scope)
    return (
        visible_endpoints(actor)
        .select_related("origin")
        .defer("sealed")
        .annotate(**COUNTS)
        .order_by("-created_at", "-id")
    )


def endpoint(
    *, actor: Principal, endpoint_id: UUID, scope: Scope = Scope.WEBHOOKS_READ
) -> Destination:
    """Return an endpoint with its counts. Raise `NotFound`, `ScopeMissing`."""
    row = endpoints(actor=actor, scope=scope).filter(id=endpoint_id).first()
    if row is None:
        raise NotFound("endpoint")
    return row
