"""Create organisations, and change their settings."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.models import Member, Organisation, Tenant, User
from apps.accounts.principal import Principal, system
from apps.accounts.scopes import Role
from apps.accounts.services.invitations import NewInvitation, open_invitation
from apps.accounts.services.locks import lock_organisation
from apps.accounts.services.people import add_member, create_person
from apps.base.addresses import Address, is_allowed
from apps.base.rows import write
from apps.base.transactions import atomic
from biolayer.errors import Fault, InvalidInput


@transaction.atomic
def create_organisation(*, name: str, tenant: Tenant | None = None) -> Organisation:
    """Create an organisation, in a new tenant unless one is given."""
    tenant = tenant or Tenant.objects.create(name=name)
    return Organisation.objects.create(tenant=tenant, name=name)


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """Hold how an organisation's first admin signs in: as a member, or by an invitation's link."""

    member: Member | None = None
    invitation: NewInvitation | None = None


@atomic()
def add_first_admin(
    *, organisation: Organisation, email: str, name: str = "", password: str | None, at: datetime
) -> FirstAdmin:
    """Add an admin from the server's shell, whose operator is trusted with the address.

    A person who has an account becomes a member. A new one gets the password, or without one an
    invitation, whose link the caller passes on.
    """
    actor, email = system("shell", organisation.id), email.lower()
    user = User.objects.filter(email=email).first()
    if user is None and password is None:
        return FirstAdmin(
            invitation=open_invitation(
                organisation=organisation, actor=actor, email=email, role=Role.ADMIN, at=at
            )
        )
    user = user or create_person(email=email, name=name, password=password)
    member = Member(organisation=organisation, user=user, role=Role.ADMIN, created_at=at)
    return FirstAdmin(member=add_member(member=member, actor=actor, at=at))


@atomic()
def change_organisation(
    *, actor: Principal, changes: dict[str, Any], address: Address | None, at: datetime
) -> Organisation:
    """Change settings of the actor's organisation.

    Raise `InvalidInput` for networks without the caller's own `address`; `PoolNotGranted`,
    `RoleTooLow`, `ScopeMissing`.
    """
    organisation = lock_organisation(actor=actor)
    networks = changes.get("allowed_networks", [])
    if not is_allowed(address, networks):
        text = f"none of them contains {address}, your own address: you would be locked out"
        raise InvalidInput([Fault("/allowed_networks", "locks_out_caller", text)])
    changed = sorted(
        name for name, value in changes.items() if getattr(organisation, name) != value
    )
    if not changed:
        return organisation
    for name in changed:
        setattr(organisation, name, changes[name])
    organisation.save(update_fields=changed)
    write(
        [
            audit_entry(
                actor=actor,
                action=AuditAction.ORGANISATION_CHANGED,
                subject=("organisation", organisation.id),
                at=at,
                fields=changed,
            )
        ]
    )
    return organisation
