"""Create, change and delete the destinations of bridge instances, for the app that has those.

A bridge is sent to as an endpoint is: signed, checked, paced, logged. It gets no event by itself.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.base.ids import new_id
from apps.webhooks.credentials import Credentials
from apps.webhooks.models import Destination, DestinationKind, DestinationStatus
from apps.webhooks.services.endpoints.endpoint_settings import (
    credential_columns,
    stored_credentials,
    with_changes,
)
from apps.webhooks.services.endpoints.management import (
    change_locked,
    delete_deliveries_of,
    delete_locked,
    ensure_origin,
)
from biolayer.contract import CallbackAuth
from biolayer.errors import NotFound


def create_bridge(
    *,
    organisation_id: UUID,
    url: str,
    description: str,
    auth: CallbackAuth,
    headers: Mapping[str, str],
    timeout_seconds: int,
    pool_ids: Sequence[UUID] | None,
    is_enabled: bool,
    at: datetime,
) -> Destination:
    """Create the destination of a bridge, in the present transaction. Its URL has been checked."""
    destination = Destination(
        id=new_id(),
        organisation_id=organisation_id,
        kind=DestinationKind.BRIDGE,
        origin_id=ensure_origin(organisation_id, url),
        url=url,
        description=description,
        pool_ids=None if pool_ids is None else list(pool_ids),
        timeout_seconds=timeout_seconds,
        status=DestinationStatus.ENABLED if is_enabled else DestinationStatus.PAUSED,
        created_at=at,
        updated_at=at,
        **credential_columns(Credentials(auth, headers), organisation_id),
    )
    destination.save(force_insert=True)
    return destination


def bridge_credentials(destination: Destination) -> Credentials:
    """Return a bridge's credentials and headers. Raise what `crypto.unseal` raises."""
    return stored_credentials(destination)


def change_bridge(
    *, known: Destination, fields: Mapping[str, Any], origin_id: UUID, by: str, at: datetime
) -> None:
    """Write the present fields: `url`, `description`, `auth`, `headers`, `timeout_seconds`,
    `enabled`.

    `origin_id` is that of the URL. Enabled again, it gets what was held for it. Raise `Raced`.
    """
    same = ("url", "description", "timeout_seconds")
    credentials = with_changes(stored_credentials(known), fields)
    values = {
        "origin_id": origin_id,
        "updated_at": at,
        **{name: fields[name] for name in same if name in fields},
        **credential_columns(credentials, known.organisation_id),
    }
    change_locked(known, values, enabled=fields.get("enabled"), by=by, at=at)


def origin_for(organisation_id: UUID, url: str) -> UUID:
    """Return the origin of a URL, whose row is inserted unless it exists: before a transaction."""
    return ensure_origin(organisation_id, url)


LOCK = "SELECT id FROM webhooks_destination WHERE id = %s FOR KEY SHARE"


def lock_bridge(destination_id: UUID) -> Destination:
    """Return a bridge that a delivery is to be added to, in the present transaction.

    It does not move to another origin meanwhile. Raise `Destination.DoesNotExist`.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [destination_id])
    return Destination.objects.defer("sealed").get(id=destination_id)


def empty_bridge(destination: Destination) -> None:
    """Pause a bridge that is to be deleted, and delete its deliveries."""
    delete_deliveries_of(destination)


def delete_bridge(destination_id: UUID) -> None:
    """Delete an emptied bridge, in the present transaction. Raise `NotFound`, `Raced`."""
    bridges = Destination.objects.filter(kind=DestinationKind.BRIDGE)
    known = bridges.filter(id=destination_id).first()
    if known is None:
        raise NotFound("bridge instance")
    delete_locked(known)
