"""Export an organisation's audit log."""

from collections.abc import Iterator
from datetime import datetime

from apps.accounts.audit import AuditAction
from apps.accounts.models import AuditEvent
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.selectors.audit import chained_page
from apps.accounts.services.audit import record_action
from apps.base.transactions import atomic

PAGE = 1_000


@atomic()
def export_audit_events(*, actor: Principal, after: int, at: datetime) -> Iterator[AuditEvent]:
    """Record the export, and return the chain's rows after a position, in order.

    The rows are read page by page, each by a statement of its own: the export holds no transaction,
    and a page of it in memory. It ends with the row that is the last one then. Raise
    `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.AUDIT_READ)
    actor.require_every_pool()
    record_action(
        actor=actor,
        action=AuditAction.EXPORTED,
        subject=("organisation", actor.organisation_id),
        at=at,
        of="audit_events",
        after=after,
    )
    return _rows(actor, after)


def _rows(actor: Principal, after: int) -> Iterator[AuditEvent]:
    while True:
        page = chained_page(organisation_id=actor.organisation_id, after=after, count=PAGE)
        yield from page
        if len(page) < PAGE:
            return
        assert page[-1].position is not None
        after = page[-1].position
