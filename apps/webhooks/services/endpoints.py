"""Managing an organisation's endpoints.

A change that concerns the queue (another URL, a limit, an end) is made under the mutex of the
endpoint's origin: no sender sees half of it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.models import Organisation
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.ids import new_id
from apps.base.rows import write
from apps.base.transactions import Raced, atomic, retry_races
from apps.base.wake import wake
from apps.webhooks import selectors
from apps.webhooks.models import (
    Delivery,
    DeliveryStatus,
    Destination,
    DestinationKind,
    DestinationStatus,
)
from apps.webhooks.origins import origin_id, origin_of
from apps.webhooks.services.announcing import open_origin
from apps.webhooks.services.describing import Secrets, checks, columns, standing
from apps.webhooks.services.locks import lock_origins, lock_recoveries
from apps.webhooks.services.recovering import release_held
from biolayer.contract import parse
from biolayer.errors import PoolNotGranted, TooManyEndpoints
from biolayer.requests.webhooks import EndpointChange, EndpointCreation

MAX_ENDPOINTS = 100
"""In one organisation: the fan-out of each event reads them all."""

DELETED_AT_ONCE = 2_000


@atomic()
def create_endpoint(*, actor: Principal, document: Any, at: datetime) -> Destination:
    """A new endpoint, which is told of every event from now on that its filters let through.

    Raises `InvalidInput` with every fault of the document, `PoolNotGranted`, `ScopeMissing`,
    `TooManyEndpoints`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    wanted = parse(EndpointCreation, document, checks=checks(actor, Secrets(), is_new=True))
    _require_room(actor.organisation_id)
    home = _open_origin(actor.organisation_id, wanted.url)
    lock_origins([home])
    _require_own_pace(actor, home, wanted.rate_limit_per_minute)
    endpoint = Destination(
        id=new_id(),
        organisation_id=actor.organisation_id,
        kind=DestinationKind.ENDPOINT,
        origin_id=home,
        status=DestinationStatus.ENABLED if wanted.enabled else DestinationStatus.PAUSED,
        created_at=at,
        updated_at=at,
        **columns(dict(wanted)),
        **Secrets(wanted.auth, wanted.headers).columns(actor.organisation_id),
    )
    endpoint.save(force_insert=True)
    _set_pace([home])
    return _seen_again(actor, endpoint.id)


def update_endpoint(
    *, actor: Principal, endpoint_id: UUID, document: Any, at: datetime
) -> Destination:
    """Change what the document names; the rest stays.

    With another URL, what is not delivered goes there. Enabled again, the endpoint starts with a
    clean record and gets what was held for it. Raises `InvalidInput`, `NotFound`, `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    return retry_races(lambda: _update(actor, endpoint_id, document, at))


def _update(actor: Principal, endpoint_id: UUID, document: Any, at: datetime) -> Destination:
    known = _visible(actor, endpoint_id)
    secrets = Secrets.of(known)
    change = parse(EndpointChange, document, checks=checks(actor, secrets, is_new=False))
    given = change.given()
    # Before the transaction: a new origin's row would be locked until its end, and whoever creates
    # a task for that origin holds the endpoint.
    home = _open_origin(actor.organisation_id, change.url) if "url" in given else known.origin_id
    values = {
        "origin_id": home,
        "updated_at": at,
        **columns(given),
        **secrets.replaced(given).columns(actor.organisation_id),
    }
    rate = values.get("rate_per_minute", known.rate_per_minute)
    if {"url", "rate_limit_per_minute"} & given.keys():
        _require_own_pace(actor, home, rate)
    _change(known, values, enabled=given.get("enabled"), by=actor.text, at=at)
    return _seen_again(actor, endpoint_id)


@atomic()
def _change(
    known: Destination, values: dict[str, Any], *, enabled: bool | None, by: str, at: datetime
) -> None:
    home = values["origin_id"]
    lock_origins({known.origin_id, home})
    endpoint = _locked(known, for_good=home != known.origin_id)
    values = values | standing(endpoint, enabled=enabled)
    Destination.objects.filter(id=endpoint.id).update(**values)
    _follow(endpoint, values, by=by, at=at)


def _follow(endpoint: Destination, values: Mapping[str, Any], *, by: str, at: datetime) -> None:
    """What new values mean for the deliveries that wait. Origins and endpoint are locked."""
    home = values["origin_id"]
    if home != endpoint.origin_id:
        mine = Delivery.objects.filter(destination_id=endpoint.id)
        mine.exclude(status=DeliveryStatus.SUCCEEDED).update(origin_id=home)
    _set_pace({endpoint.origin_id, home})
    if values.get("status") == DestinationStatus.ENABLED:
        release_held(
            destination_id=endpoint.id,
            organisation_id=endpoint.organisation_id,
            created_by=by,
            at=at,
        )
    wake("deliveries")


def delete_endpoint(*, actor: Principal, endpoint_id: UUID) -> None:
    """Delete an endpoint, its deliveries and their attempts. Raises `NotFound`, `ScopeMissing`.

    There may be very many, so they go in batches of a transaction each. Before that it is paused and
    wants nothing any more, so that nothing is sent to it and nothing is added meanwhile; a call that
    was cut off is made again and goes on.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    known = _visible(actor, endpoint_id)
    Destination.objects.filter(id=known.id).update(
        status=DestinationStatus.PAUSED, disabled_reason="", event_types=[]
    )
    while _delete_deliveries(known) == DELETED_AT_ONCE:
        pass
    retry_races(lambda: _delete(actor, endpoint_id))


@atomic()
def _delete_deliveries(endpoint: Destination) -> int:
    lock_origins([endpoint.origin_id])
    mine = Delivery.objects.filter(destination_id=endpoint.id)
    ids = list(mine.values_list("id", flat=True)[:DELETED_AT_ONCE])
    Delivery.objects.filter(id__in=ids).delete()
    return len(ids)


@atomic()
def _delete(actor: Principal, endpoint_id: UUID) -> None:
    known = _visible(actor, endpoint_id)
    lock_recoveries(known.id)
    lock_origins([known.origin_id])
    _locked(known, for_good=True).delete()
    _set_pace([known.origin_id])


# --- rows -----------------------------------------------------------------------------------------


def _visible(actor: Principal, endpoint_id: UUID) -> Destination:
    return selectors.endpoint(actor=actor, endpoint_id=endpoint_id, scope=Scope.WEBHOOKS_MANAGE)


_seen_again = _visible
"""As it is shown after a change."""


def _locked(known: Destination, *, for_good: bool) -> Destination:
    """The row as it was known, locked. Raises `Raced` where somebody changed it since.

    `for_good` (it moves or ends) it waits for the events that are just adding deliveries to it, and
    those that come later see what became of it.
    """
    rows = Destination.objects.select_for_update(no_key=not for_good)
    found = rows.filter(id=known.id, updated_at=known.updated_at).first()
    if found is None:
        raise Raced("Somebody changed this endpoint at the same time.")
    return found


def _require_room(organisation_id: UUID) -> None:
    """Raise `TooManyEndpoints` unless one more may be made; nobody else makes one until we commit."""
    Organisation.objects.select_for_update(no_key=True).get(id=organisation_id)
    there = Destination.objects.filter(
        organisation_id=organisation_id, kind=DestinationKind.ENDPOINT
    )
    if there.count() >= MAX_ENDPOINTS:
        raise TooManyEndpoints(MAX_ENDPOINTS)


def _require_own_pace(actor: Principal, origin_id: UUID, rate_per_minute: int | None) -> None:
    """Raise `PoolNotGranted` where a limit would slow down endpoints that the actor does not see: an
    origin is sent to no faster than its most careful endpoint asks for.
    """
    if actor.pool_ids is None or rate_per_minute is None:
        return
    there = Destination.objects.filter(
        organisation_id=actor.organisation_id,
        kind=DestinationKind.ENDPOINT,
        origin_id=origin_id,
    )
    if there.exclude(pool_ids__contained_by=sorted(actor.pool_ids)).exists():
        raise PoolNotGranted(
            "A limit would hold for endpoints of other pools on the same origin, too."
        )


def _open_origin(organisation_id: UUID, url: str) -> UUID:
    """The id of the URL's origin, whose row is there afterwards."""
    text = origin_of(url)
    write([open_origin(organisation_id=organisation_id, text=text)])
    return origin_id(organisation_id, text)


PACE = """
UPDATE webhooks_origin o SET rate_per_minute = wanted.least, next_slot_at = NULL
FROM (
    SELECT w.id, (
        SELECT min(d.rate_per_minute) FROM webhooks_destination d
        WHERE d.organisation_id = w.organisation_id AND d.kind = 'endpoint' AND d.origin_id = w.id
    ) AS least
    FROM webhooks_origin w WHERE w.id = ANY (%s)
) wanted
WHERE o.id = wanted.id AND o.rate_per_minute IS DISTINCT FROM wanted.least
"""
"""An origin is sent to no faster than its most careful endpoint asks for."""


def _set_pace(origin_ids: Collection[UUID]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(PACE, [list(origin_ids)])
