"""Read the audit log and its heads."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.models import AuditEvent, AuditHead
from apps.accounts.models.audit import NEWEST_FIRST
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.selectors.audit_keys import audit_keys


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Restrict a list of the audit log. None restricts nothing."""

    action: str | None = None
    # Ids, such as that of a key, a member or a task.
    actor: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def audit_events(*, actor: Principal, filter_: AuditFilter) -> "QuerySet[AuditEvent]":
    """Return the organisation's audit log, newest first.

    Raise `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`.
    """
    _require(actor)
    columns = {
        "action": filter_.action,
        "actor_id": filter_.actor,
        "subject_id": filter_.subject,
        "occurred_at__gte": filter_.since,
        "occurred_at__lt": filter_.until,
    }
    given = {name: value for name, value in columns.items() if value is not None}
    rows = AuditEvent.objects.filter(organisation_id=actor.organisation_id, **given)
    return rows.order_by(*NEWEST_FIRST)


def audit_heads(*, actor: Principal) -> "QuerySet[AuditHead]":
    """Return the heads of the organisation's days, newest first. Raise as `audit_events` does."""
    _require(actor)
    return AuditHead.objects.filter(organisation_id=actor.organisation_id).order_by("-day")


def chained_page(*, organisation_id: UUID, after: int, count: int) -> list[AuditEvent]:
    """Return the rows of a chain after a position, in order."""
    rows = AuditEvent.objects.filter(organisation_id=organisation_id, position__gt=after)
    return list(rows.order_by("position")[:count])


def published_audit_keys() -> list[tuple[UUID, str]]:
    """Return the id and the `whpk_` text of each key that signs or signed heads."""
    return [(key.id, key.public) for key in audit_keys()]


def _require(actor: Principal) -> None:
    actor.require(Scope.AUDIT_READ)
    actor.require_every_pool()
