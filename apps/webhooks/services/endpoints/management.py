"""Create, change and delete an organisation's endpoints.

A change that concerns the queue (another URL, a rate limit, the end) is made under the lock of the
endpoint's origin: no sender sees a part of it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.audit import AuditAction
from apps.accounts.models import Organisation
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base.ids import new_id
from apps.base.rows import write
from apps.base.transactions import Raced, atomic, retry_races
from apps.base.wake import wake
from apps.webhooks import changes, selectors
from apps.webhooks.credentials import Credentials
from apps.webhooks.models import (
    Delivery,
    DeliveryStatus,
    Destination,
    DestinationKind,
    DestinationStatus,
)
from apps.webhooks.origins import origin_id, origin_of
from apps.webhooks.services.endpoints.endpoint_settings import (
    credential_columns,
    document_checks,
    setting_columns,
    status_columns,
    stored_credentials,
    with_changes,
)
from apps.webhooks.services.locks import lock_origins, lock_recoveries
from apps.webhooks.services.recoveries import recover_held
from biolayer.contract import parse
from biolayer.errors import EVERY_POOL, PoolNotGranted, TooManyEndpoints
from biolayer.requests.webhooks import EndpointChange, EndpointCreation

# In one organisation: the fan-out of each event reads all of them.
MAX_ENDPOINTS = 100

DELETE_BATCH = 2_000


@atomic()
def create_endpoint(*, actor: Principal, document: Any, at: datetime) -> Destination:
    """Create an endpoint, which receives every later event that matches its filters.

    Raise `InvalidInput` with every fault of the document, `PoolNotGranted`, `ScopeMissing`,
    `TooManyEndpoints`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    checks = document_checks(actor, Credentials(), is_new=True)
    creation = parse(EndpointCreation, document, checks=checks)
    _require_below_maximum(actor.organisation_id)
    origin = ensure_origin(actor.organisation_id, creation.url)
    lock_origins([origin])
    _require_rate_limit_allowed(actor, origin, creation.rate_limit_per_minute)
    credentials = Credentials(creation.auth, creation.headers)
    endpoint = Destination(
        id=new_id(),
        organisation_id=actor.organisation_id,
        kind=DestinationKind.ENDPOINT,
        origin_id=origin,
        status=DestinationStatus.ENABLED if creation.enabled else DestinationStatus.PAUSED,
        created_at=at,
        updated_at=at,
        **setting_columns(dict(creation)),
        **credential_columns(credentials, actor.organisation_id),
    )
    endpoint.save(force_insert=True)
    _record(actor, AuditAction.ENDPOINT_CREATED, endpoint.id, at)
    _update_rate_limit([origin])
    return _visible(actor, endpoint.id)


def update_endpoint(
    *, actor: Principal, endpoint_id: UUID, document: Any, at: datetime
) -> Destination:
    """Change the fields in the document; the others stay.

    With another URL, undelivered events are sent there. Enabled again, the endpoint has no failures
    and receives what was held for it. Raise `InvalidInput`, `NotFound`, `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    return retry_races(lambda: _update(actor, endpoint_id, document, at))


def _update(actor: Principal, endpoint_id: UUID, document: Any, at: datetime) -> Destination:
    endpoint = _visible(actor, endpoint_id)
    credentials = stored_credentials(endpoint)
    checks = document_checks(actor, credentials, is_new=False)
    change = parse(EndpointChange, document, checks=checks)
    fields = change.present()
    origin = endpoint.origin_id
    if "url" in fields:
        # Before the transaction: a new origin's row would be locked until its end, while a
        # transaction that creates a task for that origin locks the endpoint.
        origin = ensure_origin(actor.organisation_id, change.url)
    values = {
        "origin_id": origin,
        "updated_at": at,
        **setting_columns(fields),
        **credential_columns(with_changes(credentials, fields), actor.organisation_id),
    }
    rate = values.get("rate_per_minute", endpoint.rate_per_minute)
    if {"url", "rate_limit_per_minute"} & fields.keys():
        _require_rate_limit_allowed(actor, origin, rate)
    _write_update(actor, endpoint, values, fields, at=at)
    return _visible(actor, endpoint_id)


@atomic()
def _write_update(
    actor: Principal,
    known: Destination,
    values: dict[str, Any],
    fields: Mapping[str, Any],
    *,
    at: datetime,
) -> None:
    change_locked(known, values, enabled=fields.get("enabled"), by=actor.text, at=at)
    if fields:
        _record(actor, AuditAction.ENDPOINT_CHANGED, known.id, at, fields=sorted(fields))


def change_locked(
    known: Destination, values: Mapping[str, Any], *, enabled: bool | None, by: str, at: datetime
) -> None:
    """Write new columns of a destination of an organisation, in the present transaction.

    Raise `Raced` where it has changed since it was read.
    """
    origin = values["origin_id"]
    lock_origins({known.origin_id, origin})
    destination = _locked(known, is_leaving=origin != known.origin_id)
    values = {**values, **status_columns(destination, enabled=enabled)}
    Destination.objects.filter(id=destination.id).update(**values)
    _update_deliveries(destination, values, by=by, at=at)


def _update_deliveries(
    endpoint: Destination, values: Mapping[str, Any], *, by: str, at: datetime
) -> None:
    """Apply new values to the waiting deliveries. Origins and endpoint are locked."""
    origin = values["origin_id"]
    if origin != endpoint.origin_id:
        unfinished = Delivery.objects.filter(destination_id=endpoint.id).exclude(
            status=DeliveryStatus.SUCCEEDED
        )
        unfinished.update(origin_id=origin)
    _update_rate_limit({endpoint.origin_id, origin})
    if values.get("status") == DestinationStatus.ENABLED:
        recover_held(
            destination_id=endpoint.id,
            organisation_id=endpoint.organisation_id,
            created_by=by,
            at=at,
        )
    wake("deliveries")


def delete_endpoint(*, actor: Principal, endpoint_id: UUID, at: datetime) -> None:
    """Delete an endpoint, its deliveries and their attempts. Raise `NotFound`, `ScopeMissing`.

    There may be very many, so they are deleted in batches of one transaction each. Before that the
    endpoint is paused and its filters are emptied, so that nothing is sent to it and nothing is
    added meanwhile. A call that was interrupted is repeated and continues.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    delete_deliveries_of(_visible(actor, endpoint_id))
    retry_races(lambda: _delete(actor, endpoint_id, at))


def delete_deliveries_of(destination: Destination) -> None:
    """Pause a destination for good, and delete its deliveries, in transactions of their own."""
    Destination.objects.filter(id=destination.id).update(
        status=DestinationStatus.PAUSED, disabled_reason="", event_types=[]
    )
    while _delete_deliveries(destination) == DELETE_BATCH:
        pass


@atomic()
def _delete_deliveries(endpoint: Destination) -> int:
    lock_origins([endpoint.origin_id])
    deliveries = Delivery.objects.filter(destination_id=endpoint.id)
    ids = list(deliveries.values_list("id", flat=True)[:DELETE_BATCH])
    Delivery.objects.filter(id__in=ids).delete()
    return len(ids)


@atomic()
def _delete(actor: Principal, endpoint_id: UUID, at: datetime) -> None:
    delete_locked(_visible(actor, endpoint_id))
    _record(actor, AuditAction.ENDPOINT_DELETED, endpoint_id, at)


def delete_locked(known: Destination) -> None:
    """Delete a destination, in the present transaction. Raise `Raced` as `change_locked` does."""
    lock_recoveries(known.id)
    lock_origins([known.origin_id])
    _locked(known, is_leaving=True).delete()
    _update_rate_limit([known.origin_id])


# --- rows -----------------------------------------------------------------------------------------


def _record(
    actor: Principal, action: AuditAction, endpoint_id: UUID, at: datetime, **facts: Any
) -> None:
    subject = ("webhook_endpoint", endpoint_id)
    record_action(actor=actor, action=action, subject=subject, at=at, **facts)


def _visible(actor: Principal, endpoint_id: UUID) -> Destination:
    return selectors.endpoint(actor=actor, endpoint_id=endpoint_id, scope=Scope.WEBHOOKS_MANAGE)


def _locked(known: Destination, *, is_leaving: bool) -> Destination:
    """Return the row, locked. Raise `Raced` where it has changed since it was read.

    When it moves to another origin or is deleted (`is_leaving`), wait for transactions that are
    adding deliveries to it; later ones see the result.
    """
    rows = Destination.objects.select_for_update(no_key=not is_leaving)
    endpoint = rows.filter(id=known.id, updated_at=known.updated_at).first()
    if endpoint is None:
        raise Raced("This endpoint was changed by another request at the same time.")
    return endpoint


def _require_below_maximum(organisation_id: UUID) -> None:
    """Raise `TooManyEndpoints` unless one more may be created.

    The organisation's row stays locked, so that no other transaction creates one meanwhile.
    """
    Organisation.objects.select_for_update(no_key=True).get(id=organisation_id)
    endpoints = Destination.objects.filter(
        organisation_id=organisation_id, kind=DestinationKind.ENDPOINT
    )
    if endpoints.count() >= MAX_ENDPOINTS:
        raise TooManyEndpoints(MAX_ENDPOINTS)


def _require_rate_limit_allowed(
    actor: Principal, origin_id: UUID, rate_per_minute: int | None
) -> None:
    """Raise `PoolNotGranted` where a limit would slow down endpoints that the actor cannot see.

    An origin's rate is the least limit of its endpoints.
    """
    if actor.pool_ids is None or rate_per_minute is None:
        return
    endpoints = Destination.objects.filter(
        organisation_id=actor.organisation_id,
        kind=DestinationKind.ENDPOINT,
        origin_id=origin_id,
    )
    if endpoints.exclude(pool_ids__contained_by=sorted(actor.pool_ids)).exists():
        raise PoolNotGranted(
            "A rate limit would also apply to other pools' endpoints on the same origin.",
            missing=EVERY_POOL,
        )


def ensure_origin(organisation_id: UUID, url: str) -> UUID:
    """Insert the row of the URL's origin unless it exists. Return its id."""
    text = origin_of(url)
    write([changes.origin_insert(organisation_id=organisation_id, text=text)])
    return origin_id(organisation_id, text)


UPDATE_RATE_LIMIT = """
UPDATE webhooks_origin o SET rate_per_minute = limits.least, next_slot_at = NULL
FROM (
    SELECT w.id, (
        SELECT min(d.rate_per_minute) FROM webhooks_destination d
        WHERE d.organisation_id = w.organisation_id AND d.kind = 'endpoint' AND d.origin_id = w.id
    ) AS least
    FROM webhooks_origin w WHERE w.id = ANY (%s)
) limits
WHERE o.id = limits.id AND o.rate_per_minute IS DISTINCT FROM limits.least
"""


def _update_rate_limit(origin_ids: Collection[UUID]) -> None:
    """Set each origin's rate to the least limit of its endpoints."""
    with connection.cursor() as cursor:
        cursor.execute(UPDATE_RATE_LIMIT, [list(origin_ids)])
