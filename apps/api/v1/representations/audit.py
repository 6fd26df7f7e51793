"""Represent entries and heads of the audit log."""

import base64

from apps.accounts.models import AuditEvent, AuditHead
from biolayer.responses import audit as responses
from biolayer.responses.events import Actor


def audit_event(row: AuditEvent) -> responses.AuditEvent:
    """Return an entry with its link in the chain."""
    return responses.AuditEvent(
        organisation_id=row.organisation_id,
        audit_event_id=row.id,
        position=row.position,
        action=row.action,
        actor=Actor(kind=row.actor_kind, id=row.actor_id),
        address=row.address,
        subject=responses.AuditSubject(kind=row.subject_kind, id=row.subject_id),
        data=row.data,
        occurred_at=row.occurred_at,
        prev_hash=None if row.prev_hash is None else bytes(row.prev_hash).hex(),
        hash=None if row.hash is None else bytes(row.hash).hex(),
    )


def audit_head(row: AuditHead) -> responses.AuditHead:
    """Return a head with its signature."""
    return responses.AuditHead(
        organisation_id=row.organisation_id,
        day=row.day.isoformat(),
        position=row.position,
        hash=bytes(row.hash).hex(),
        signed_at=row.signed_at,
        key_id=row.key_id,
        signature=base64.b64encode(bytes(row.signature)).decode(),
    )
