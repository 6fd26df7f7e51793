"""Reading an organisation's endpoints, and the shape in which they are shown."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import IntegerField, QuerySet
from django.db.models.expressions import RawSQL

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.webhooks.models import Destination, DestinationKind, Origin
from apps.webhooks.selectors.times import shown_time
from biolayer.contract import CallbackAuth
from biolayer.errors import NotFound
from biolayer.times import format_time

MOST_COUNTED = 10_000
"""Counts of queues end here: who is shown it knows enough."""

UNDER_WAY = """
SELECT count(*) FROM webhooks_delivery d WHERE d.origin_id = webhooks_destination.origin_id
    AND d.claim_token IS NOT NULL AND d.due_at > statement_timestamp()
"""
PENDING = f"""
SELECT count(*) FROM (
    SELECT FROM webhooks_delivery d WHERE d.origin_id = webhooks_destination.origin_id
        AND d.status = 'pending' LIMIT {MOST_COUNTED}
) counted
"""
HELD = f"""
SELECT count(*) FROM (
    SELECT FROM webhooks_delivery d WHERE d.destination_id = webhooks_destination.id
        AND d.status = 'held' LIMIT {MOST_COUNTED}
) counted
"""

COUNTS = {
    name: RawSQL(sql, [], output_field=IntegerField())  # noqa: S611 - nothing of a caller's in it
    for name, sql in [
        ("under_way_count", UNDER_WAY),
        ("pending_count", PENDING),
        ("held_count", HELD),
    ]
}


def visible_endpoints(actor: Principal) -> "QuerySet[Destination]":
    """The endpoints of the actor's organisation; where its pools are restricted, those of them that
    hear of no other pool.
    """
    mine = Destination.objects.filter(
        organisation_id=actor.organisation_id, kind=DestinationKind.ENDPOINT
    )
    if actor.pool_ids is None:
        return mine
    return mine.filter(pool_ids__contained_by=list(actor.pool_ids))


def endpoints(*, actor: Principal, scope: Scope = Scope.WEBHOOKS_READ) -> "QuerySet[Destination]":
    """What the actor may see, newest first, with what waits for each. Raises `ScopeMissing`."""
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
    """Raises `NotFound`, `ScopeMissing`."""
    found = endpoints(actor=actor, scope=scope).filter(id=endpoint_id).first()
    if found is None:
        raise NotFound("endpoint")
    return found


def shown_endpoint(endpoint: Destination, *, at: datetime) -> dict[str, Any]:
    """An endpoint as its owner sees it: credentials and the values of headers are never shown."""
    return {
        "endpoint_id": str(endpoint.id),
        "url": endpoint.url,
        "origin": endpoint.origin.text,
        "description": endpoint.description,
        "event_types": endpoint.event_types,
        "pool_ids": endpoint.pool_ids and [str(pool_id) for pool_id in endpoint.pool_ids],
        "domains": endpoint.domains,
        "headers": dict.fromkeys(endpoint.header_names, "redacted"),
        "auth": _auth(endpoint.auth_type),
        "payload": "thin" if endpoint.is_thin else "full",
        "ordering": "per_task" if endpoint.is_ordered else "none",
        "rate_limit_per_minute": endpoint.rate_per_minute,
        "timeout_seconds": endpoint.timeout_seconds,
        "retry_policy": _retry_policy(endpoint),
        "enabled": endpoint.status == "enabled",
        "status": endpoint.status,
        "disabled_reason": endpoint.disabled_reason or None,
        "failing_since": shown_time(endpoint.failing_since),
        "failure_count": endpoint.failure_count,
        "created_at": format_time(endpoint.created_at),
        "updated_at": format_time(endpoint.updated_at),
        "health": _health(endpoint, endpoint.origin, at),
    }


def _auth(auth_type: str) -> dict[str, str]:
    # Nothing is opened only to be shown, so that names read like secrets here.
    return {"type": auth_type} | dict.fromkeys(CallbackAuth.NEEDS[auth_type], "redacted")


def _retry_policy(endpoint: Destination) -> dict[str, int | None] | None:
    """Null where the default schedule holds."""
    if endpoint.max_retries is None:
        return None
    return {"max_retries": endpoint.max_retries, "backoff_seconds": endpoint.backoff_seconds}


def _health(endpoint: Any, origin: Origin, at: datetime) -> dict[str, Any]:
    """How the endpoint's origin fares, which it may share with others; what is held is its own."""
    return {
        "concurrency": int(origin.concurrency),
        "breaker": _breaker(origin.open_until, at),
        "open_until": shown_time(origin.open_until),
        "held_until": shown_time(origin.held_until),
        "under_way": endpoint.under_way_count,
        "pending": endpoint.pending_count,
        "held": endpoint.held_count,
    }


def _breaker(open_until: datetime | None, at: datetime) -> str:
    if open_until is None:
        return "closed"
    return "open" if open_until > at else "probing"
