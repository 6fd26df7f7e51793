"""Describe rows for another transaction to write: nothing here writes anything.

Pass the results to a transition's reactions or to `rows.write`.
"""

from collections.abc import Iterable
from functools import lru_cache
from uuid import UUID

from apps.base.queries import load_query
from apps.base.rows import BulkStatement, Change, Insert, Statement, insert
from apps.webhooks.credentials import Credentials
from apps.webhooks.models import Destination, DestinationKind, Message
from apps.webhooks.origins import origin_id, origin_of
from apps.webhooks.outbound_event import OutboundEvent, new_delivery
from biolayer.contract import Handoff
from biolayer.events import patterns_for

FAN_OUT = load_query("apps.webhooks", "fan_out")
RESTORE_CALLBACK = load_query("apps.webhooks", "restore_callback")


def event_fan_out(
    event: OutboundEvent, *, callback_url: str = "", except_destination: UUID | None = None
) -> Iterable[Change]:
    """Return the rows of an event: its message, and a delivery to each destination.

    Destinations are its subject's callback, if there is a URL, and each endpoint whose filters
    match, except one.
    """
    message = event.message()
    yield Insert(message)
    if callback_url:
        origin = origin_id(message.organisation_id, origin_of(callback_url))
        yield Insert(new_delivery(message, destination_id=message.subject_id, origin_id=origin))
    yield _endpoint_deliveries(message, except_destination)


def _endpoint_deliveries(message: Message, except_destination: UUID | None) -> BulkStatement:
    row = {
        "id": message.id,
        "organisation_id": message.organisation_id,
        "subject_id": message.subject_id,
        "sequence": message.sequence,
        "event_type": message.event_type,
        "at": message.created_at,
        "patterns": patterns_for(message.event_type),
        "pool_ids": message.pool_ids,
        "domain": message.domain,
        "except_id": except_destination,
    }
    return BulkStatement(FAN_OUT, row)


def notification(
    event: OutboundEvent, *, delivery_id: UUID, destination_id: UUID, origin_id: UUID
) -> Iterable[Change]:
    """Return the rows of a notification: its message, and the delivery to its bridge."""
    message = event.message()
    yield Insert(message)
    yield Insert(
        new_delivery(
            message, destination_id=destination_id, origin_id=origin_id, delivery_id=delivery_id
        )
    )


def callback_destination(
    *, task_id: UUID, organisation_id: UUID, handoff: Handoff
) -> Iterable[Change]:
    """Return the rows of a task's callback. Its credentials are encrypted here."""
    assert handoff.callback_url
    policy = handoff.retry_policy
    origin_text = origin_of(handoff.callback_url)
    yield origin_insert(organisation_id=organisation_id, text=origin_text)
    yield insert(
        Destination,
        id=task_id,
        organisation_id=organisation_id,
        kind=DestinationKind.CALLBACK,
        origin_id=origin_id(organisation_id, origin_text),
        url=handoff.callback_url,
        auth_type=handoff.callback_auth.type,
        sealed=Credentials(handoff.callback_auth).sealed(organisation_id),
        max_retries=None if policy is None else policy.max_retries,
        backoff_seconds=None if policy is None else policy.backoff_seconds,
    )


def restored_callback_destination(
    *,
    task_id: UUID,
    organisation_id: UUID,
    url: str,
    max_retries: int | None,
    backoff_seconds: int | None,
) -> Iterable[Change]:
    """Return the rows of a reopened task's callback, in case retention has deleted them.

    Its credentials are lost: from now on its deliveries are signed, and carry no credentials.
    """
    origin_text = origin_of(url)
    yield origin_insert(organisation_id=organisation_id, text=origin_text)
    origin = origin_id(organisation_id, origin_text)
    yield Statement(
        RESTORE_CALLBACK,
        (task_id, organisation_id, origin, url, max_retries, backoff_seconds, task_id),
    )


# `ON CONFLICT` alone would wait for a transaction that is just recording the origin's health.
INSERT_ORIGIN = """
INSERT INTO webhooks_origin (id, organisation_id, text)
SELECT new.id, new.organisation_id, new.text
FROM jsonb_to_recordset(%s) AS new (id uuid, organisation_id uuid, text text)
WHERE NOT EXISTS (SELECT FROM webhooks_origin origin WHERE origin.id = new.id)
ORDER BY new.id ON CONFLICT DO NOTHING
"""


def callback_origin(organisation_id: UUID, url: str) -> BulkStatement:
    """Return the insert of the origin of a callback's URL, unless it exists."""
    return origin_insert(organisation_id=organisation_id, text=origin_of(url))


@lru_cache
def origin_insert(*, organisation_id: UUID, text: str) -> BulkStatement:
    """Return the insert of an origin's row, unless it exists."""
    row = {
        "id": origin_id(organisation_id, text),
        "organisation_id": organisation_id,
        "text": text,
    }
    return BulkStatement(INSERT_ORIGIN, row)
