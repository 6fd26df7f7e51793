"""Read what the installation's own staff may: which organisations exist, and one of them by reason.

A superuser is no member: the role in an organisation is another thing.
"""

from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet

from apps.accounts.models import Organisation, StaffAccess, User
from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope, scopes_of_role
from apps.accounts.selectors.people import has_second_factor
from apps.base.addresses import Address, is_allowed
from apps.base.clock import DatabaseNow
from biolayer.errors import AddressNotAllowed, NotFound, SecondFactorRequired

# What an access never shows: evidence, submitted outputs, and what only workers see.
HIDDEN = {
    Scope.EVIDENCE_READ.value,
    Scope.EVIDENCE_UNVERIFIED.value,
    Scope.TASKS_REVIEW.value,
    Scope.WORK.value,
}


def require_staff(user: Any) -> None:
    """Raise `NotFound` unless the person is a superuser, `SecondFactorRequired` without one."""
    if not (user.is_active and user.is_superuser):
        raise NotFound("page")
    if not has_second_factor(user.pk):
        raise SecondFactorRequired("The installation's staff need a second factor.")


def organisations(*, user: User, words: str = "") -> "QuerySet[Organisation]":
    """Return the organisations of the installation by name, with how many members they have.

    Nothing of what is in them. Raise as `require_staff` does.
    """
    require_staff(user)
    rows = Organisation.objects.filter(sandbox_of=None)
    if words:
        rows = rows.filter(name__icontains=words)
    return rows.annotate(member_count=Count("members")).order_by("name", "id")


def organisation_for_staff(*, user: User, organisation_id: UUID) -> Organisation:
    """Return an organisation. Raise `NotFound`, and as `require_staff` does."""
    row = organisations(user=user).filter(id=organisation_id).first()
    if row is None:
        raise NotFound("organisation")
    return row


def open_staff_access(*, user: Any, session_id: UUID | None) -> StaffAccess | None:
    """Return the access that is open in a session, with its organisation.

    Read for every request: an access that was closed, a session that ended, a person who is no
    superuser or has no second factor any more, have none.
    """
    if session_id is None or not (user.is_active and user.is_superuser):
        return None
    rows = StaffAccess.objects.select_related("organisation", "user")
    access = rows.filter(
        session_id=session_id, user_id=user.pk, closed_at=None, expires_at__gt=DatabaseNow()
    ).first()
    return access if access is not None and has_second_factor(user.pk) else None


def staff_principal(access: StaffAccess, *, address: Address | None) -> Principal:
    """Return the principal of an access: it reads, without evidence. Raise `AddressNotAllowed`."""
    if not is_allowed(address, access.organisation.allowed_networks):
        raise AddressNotAllowed("unknown" if address is None else str(address), of="organisation")
    return principal_of_access(access, "" if address is None else str(address))


def principal_of_access(access: StaffAccess, address: str) -> Principal:
    """Return the principal of an access without a check of its address."""
    return Principal(
        kind="staff",
        id=str(access.user_id),
        name=access.user.get_full_name(),
        organisation_id=access.organisation_id,
        role=Role.VIEWER,
        scopes=scopes_of_role(Role.VIEWER) - HIDDEN,
        address=address,
    )
