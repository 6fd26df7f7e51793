"""Turning an event into a message and its deliveries: rows of the event's own transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from apps.base import crypto
from apps.base.ids import new_id
from apps.base.rows import BulkStatement, Change, Insert, Statement
from apps.webhooks.models import Delivery, Destination, DestinationKind, Message
from apps.webhooks.origins import origin_id, origin_of
from biolayer.contract import CallbackAuth, Handoff
from biolayer.events import patterns_for
from biolayer.times import format_time


@dataclass(frozen=True, slots=True)
class Telling:
    """An event as others are told of it."""

    organisation_id: UUID
    # Whose event it is, and which: 1, 2, 3 … within its subject.
    subject_id: UUID
    sequence: int
    event_type: str
    occurred_at: datetime
    data: dict[str, Any]
    # What a thin payload has of the data.
    ids: Sequence[str] = ("task_id", "sequence")
    # The pools whose workers may be asked; null is any.
    pool_ids: Sequence[UUID] | None = None
    domain: str = ""

    def message(self) -> Message:
        thin = {name: self.data[name] for name in self.ids}
        return Message(
            id=new_id(),
            organisation_id=self.organisation_id,
            subject_id=self.subject_id,
            sequence=self.sequence,
            event_type=self.event_type,
            body=self._body(self.data),
            thin_body=self._body(thin),
            pool_ids=None if self.pool_ids is None else list(self.pool_ids),
            domain=self.domain,
            created_at=self.occurred_at,
        )

    def _body(self, data: dict[str, Any]) -> bytes:
        """The form of Standard Webhooks: type, timestamp, data."""
        timestamp = format_time(self.occurred_at)
        return orjson.dumps({"type": self.event_type, "timestamp": timestamp, "data": data})


def announce(
    telling: Telling, *, callback_url: str = "", except_destination: UUID | None = None
) -> Iterable[Change]:
    """The rows that tell of an event: its message, a delivery to its subject's callback where there
    is one, and a delivery to each endpoint that wants it.
    """
    message = telling.message()
    yield Insert(message)
    if callback_url:
        yield Insert(_to_callback(message, callback_url))
    yield _to_endpoints(message, except_destination)


def _to_callback(message: Message, url: str) -> Delivery:
    return Delivery(
        id=new_id(),
        organisation_id=message.organisation_id,
        destination_id=message.subject_id,
        origin_id=origin_id(message.organisation_id, origin_of(url)),
        message_id=message.id,
        subject_id=message.subject_id,
        sequence=message.sequence,
        event_type=message.event_type,
        due_at=message.created_at,
        created_at=message.created_at,
    )


FAN_OUT = """
INSERT INTO webhooks_delivery (id, organisation_id, destination_id, origin_id, message_id,
    subject_id, sequence, event_type, status, attempt_count, forgiven_count, due_at, wait,
    last_outcome, was_exhausted, created_at)
SELECT webhooks_uuid7(m.at), d.organisation_id, d.id, d.origin_id, m.id, m.subject_id, m.sequence,
    m.event_type, 'pending', 0, 0, m.at, 'new', '', false, m.at
FROM jsonb_to_recordset(%s) AS m (id uuid, organisation_id uuid, subject_id uuid, sequence int,
    event_type text, at timestamptz, patterns varchar[], pool_ids uuid[], domain text,
    except_id uuid)
JOIN webhooks_destination d ON d.organisation_id = m.organisation_id AND d.kind = 'endpoint'
    AND d.event_types && m.patterns
    AND (d.pool_ids IS NULL OR m.pool_ids <@ d.pool_ids)
    AND (d.domains IS NULL OR m.domain = ANY (d.domains))
    AND d.id IS DISTINCT FROM m.except_id
FOR KEY SHARE OF d
"""
"""One delivery for each endpoint that wants the event. The lock is the one that the foreign key
takes anyhow, taken early: an endpoint that is deleted meanwhile is passed over instead of failing
the event's transaction."""


def _to_endpoints(message: Message, except_destination: UUID | None) -> BulkStatement:
    told = {
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
    return BulkStatement(FAN_OUT, told)


def open_callback(*, task_id: UUID, organisation_id: UUID, handoff: Handoff) -> Iterable[Change]:
    """The rows of a task's callback. Its credentials are sealed here and opened when they are sent."""
    assert handoff.callback_url
    policy = handoff.retry_policy
    known = origin_of(handoff.callback_url)
    yield open_origin(organisation_id=organisation_id, text=known)
    yield Insert(
        Destination(
            id=task_id,
            organisation_id=organisation_id,
            kind=DestinationKind.CALLBACK,
            origin_id=origin_id(organisation_id, known),
            url=handoff.callback_url,
            auth_type=handoff.callback_auth.type,
            sealed=sealed(organisation_id, handoff.callback_auth, {}),
            max_retries=None if policy is None else policy.max_retries,
            backoff_seconds=None if policy is None else policy.backoff_seconds,
        )
    )


REOPEN = """
INSERT INTO webhooks_destination (id, organisation_id, kind, origin_id, url, description, event_types,
    auth_type, sealed, header_names, is_thin, is_ordered, max_retries, backoff_seconds, timeout_seconds,
    status, disabled_reason, failure_count, warned_hours, notice_count)
SELECT %s::uuid, %s::uuid, 'callback', %s::uuid, %s, '', '{}', 'none', '', '{}', false, true, %s::int, %s::int,
    10, 'enabled', '', 0, 0, 0
WHERE NOT EXISTS (SELECT FROM webhooks_destination WHERE id = %s) ON CONFLICT DO NOTHING
"""


def reopen_callback(
    *,
    task_id: UUID,
    organisation_id: UUID,
    url: str,
    max_retries: int | None,
    backoff_seconds: int | None,
) -> Iterable[Change]:
    """The rows of the callback of a task that goes on, where they were forgotten since it had ended. Its
    credentials are gone: what it is sent from now on is signed, and nothing else.
    """
    known = origin_of(url)
    yield open_origin(organisation_id=organisation_id, text=known)
    home = origin_id(organisation_id, known)
    yield Statement(
        REOPEN,
        (task_id, organisation_id, home, url, max_retries, backoff_seconds, task_id),
    )


def open_origin(*, organisation_id: UUID, text: str) -> Statement:
    """The origin's row, unless it is there: `ON CONFLICT` alone would wait for whoever is just writing
    down how the origin fares.
    """
    known = origin_id(organisation_id, text)
    return Statement(
        "INSERT INTO webhooks_origin (id, organisation_id, text) SELECT %s::uuid, %s::uuid, %s"
        " WHERE NOT EXISTS (SELECT FROM webhooks_origin WHERE id = %s) ON CONFLICT DO NOTHING",
        (known, organisation_id, text, known),
    )


def sealed(organisation_id: UUID, auth: CallbackAuth, headers: dict[str, str]) -> bytes:
    """Credentials and custom headers, encrypted for the destination's row; empty without any."""
    if auth.type == "none" and not headers:
        return b""
    kept = {**auth.model_dump(exclude_none=True), "headers": headers}
    return crypto.seal(orjson.dumps(kept).decode(), sealed_place(organisation_id))


def sealed_place(organisation_id: UUID) -> crypto.Place:
    return crypto.Place(organisation_id, "webhooks_destination", "auth")
