"""Describe rows of the audit log, for the transaction of the action to write."""

from datetime import datetime
from typing import Any

from apps.accounts.audit import AuditAction
from apps.accounts.models import AuditEvent
from apps.accounts.principal import Principal
from apps.base.rows import Change, insert


def audit_entry(
    *,
    actor: Principal,
    action: AuditAction,
    subject: tuple[str, object],
    at: datetime,
    **data: Any,
) -> Change:
    """Return the entry of an action on `subject`, its kind and its id.

    `data` are facts such as ids, roles and names of changed fields: values that JSON can hold,
    never a secret or personal content.
    """
    kind, subject_id = subject
    return insert(
        AuditEvent,
        organisation_id=actor.organisation_id,
        action=action.value,
        actor_kind=actor.kind,
        actor_id=actor.id,
        address=actor.address,
        subject_kind=kind,
        subject_id=str(subject_id),
        data=data,
        occurred_at=at,
    )
