"""Define the responses about the audit log."""

from typing import Any

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.responses.events import Actor
from biolayer.responses.pages import Page
from biolayer.values import Identifier, Timestamp


class AuditSubject(OpenModel):
    """What was acted on."""

    kind: str
    id: str


class AuditEvent(OpenModel):
    """One action of a person, a key or a client, chained to the one before by its hash."""

    organisation_id: Identifier
    audit_event_id: int
    position: int | None = Field(
        description="1, 2, 3 … within the organisation; null until the entry is in the chain, for"
        " about a second."
    )
    action: str
    actor: Actor
    address: str
    subject: AuditSubject
    data: dict[str, Any]
    occurred_at: Timestamp
    prev_hash: str | None
    hash: str | None


class AuditEventPage(Page):
    data: list[AuditEvent]


class AuditHead(OpenModel):
    """What the chain was when a day (UTC) ended, signed by the installation."""

    organisation_id: Identifier
    day: str
    position: int
    hash: str
    signed_at: Timestamp
    key_id: Identifier
    signature: str


class AuditHeadPage(Page):
    data: list[AuditHead]
