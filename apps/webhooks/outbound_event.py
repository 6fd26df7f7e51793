"""Make the rows of an event for receivers: its message, and a delivery of a message."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from apps.accounts.sandbox_ids import is_of_sandbox
from apps.base import rows
from apps.base.ids import new_id
from apps.webhooks.models import Delivery, Message
from biolayer.times import format_time


@dataclass(frozen=True, slots=True)
class OutboundEvent:
    """Describe an event as receivers are to see it."""

    organisation_id: UUID
    # The task, endpoint or delivery that the event is about.
    subject_id: UUID
    # 1, 2, 3 … within its subject.
    sequence: int
    event_type: str
    occurred_at: datetime
    data: dict[str, Any]
    # The fields of `data` that a thin payload has.
    ids: Sequence[str] = ("task_id", "sequence")
    # The task's candidate pools; None is any.
    pool_ids: Sequence[UUID] | None = None
    domain: str = ""
    # An example, sent to test an endpoint.
    is_test: bool = False

    def message(self) -> Message:
        """Return the event's message, which is not saved yet. Those of a sandbox say so."""
        mark = {"sandbox": True} if is_of_sandbox(self.organisation_id) else {}
        thin = {name: self.data[name] for name in self.ids} | mark
        return rows.new(
            Message,
            id=new_id(),
            organisation_id=self.organisation_id,
            subject_id=self.subject_id,
            sequence=self.sequence,
            event_type=self.event_type,
            body=self._body({**self.data, **mark}),
            thin_body=self._body(thin),
            pool_ids=None if self.pool_ids is None else list(self.pool_ids),
            domain=self.domain,
            is_test=self.is_test,
            created_at=self.occurred_at,
        )

    def _body(self, data: dict[str, Any]) -> bytes:
        """Return the body in the form of Standard Webhooks: type, timestamp, data."""
        timestamp = format_time(self.occurred_at)
        return orjson.dumps({"type": self.event_type, "timestamp": timestamp, "data": data})


def new_delivery(
    message: Message, *, destination_id: UUID, origin_id: UUID, delivery_id: UUID | None = None
) -> Delivery:
    """Return a delivery of a message, due at once, which is not saved yet."""
    return rows.new(
        Delivery,
        id=delivery_id or new_id(),
        organisation_id=message.organisation_id,
        destination_id=destination_id,
        origin_id=origin_id,
        message_id=message.id,
        subject_id=message.subject_id,
        sequence=message.sequence,
        event_type=message.event_type,
        due_at=message.created_at,
        created_at=message.created_at,
    )
