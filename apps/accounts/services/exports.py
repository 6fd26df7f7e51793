"""Record exports of lists."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.services.audit import record_action
from apps.base import clock
from apps.base.transactions import atomic


@atomic()
def record_export(
    *, actor: Principal, of: str, at: datetime, **facts: Any
) -> Callable[[int], None]:
    """Record that an export begins, before a byte of it is sent.

    Return what records its end, with the number of rows; without that entry it was broken off.
    """
    subject = ("organisation", actor.organisation_id)
    record_action(actor=actor, action=AuditAction.EXPORTED, subject=subject, at=at, of=of, **facts)

    @atomic()
    def finish(rows: int) -> None:
        record_action(
            actor=actor,
            action=AuditAction.EXPORT_FINISHED,
            subject=subject,
            at=clock.now(),
            of=of,
            rows=rows,
        )

    return finish
