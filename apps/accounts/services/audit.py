"""Record actions in the audit log."""

from datetime import datetime
from typing import Any

from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.principal import Principal
from apps.base.rows import write
from apps.base.wake import wake


def record_action(
    *,
    actor: Principal,
    action: AuditAction,
    subject: tuple[str, object],
    at: datetime,
    **data: Any,
) -> None:
    """Write the entry of an action, in the transaction of the action. See `audit_entry`."""
    write([audit_entry(actor=actor, action=action, subject=subject, at=at, **data)])
    wake("audit")
