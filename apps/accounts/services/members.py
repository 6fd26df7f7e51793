"""Change and remove members. An organisation always keeps an admin, if it ever had one."""

from datetime import datetime
from uuid import UUID

from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.models import Member
from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.accounts.services.locks import lock_organisation, member_of
from apps.base.rows import write
from apps.base.transactions import atomic
from biolayer.errors import LastAdmin


@atomic()
def change_role(*, actor: Principal, member_id: UUID, role: Role, at: datetime) -> Member:
    """Give a member another role, at most the actor's own.

    Raise `LastAdmin`, `NotFound`, `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`.
    """
    lock_organisation(actor=actor)
    member = member_of(actor=actor, member_id=member_id)
    actor.require_role(role)
    previous = member.role
    if previous == role:
        return member
    if previous == Role.ADMIN:
        _require_another_admin(member)
    member.role = role
    member.save(update_fields=["role"])
    write(
        [
            audit_entry(
                actor=actor,
                action=AuditAction.MEMBER_CHANGED,
                subject=("member", member.id),
                at=at,
                role=role.value,
                previous_role=previous,
            )
        ]
    )
    return member


@atomic()
def remove_member(*, actor: Principal, member_id: UUID, at: datetime) -> None:
    """Remove a member, who loses access with the next request. The person's account stays.

    Raise `LastAdmin`, `NotFound`, `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`.
    """
    lock_organisation(actor=actor)
    member = member_of(actor=actor, member_id=member_id)
    if member.role == Role.ADMIN:
        _require_another_admin(member)
    removed = audit_entry(
        actor=actor,
        action=AuditAction.MEMBER_REMOVED,
        subject=("member", member.id),
        at=at,
        role=member.role,
        user_id=str(member.user_id),
    )
    member.delete()
    write([removed])


def _require_another_admin(member: Member) -> None:
    """Raise `LastAdmin` unless the locked organisation has an admin besides this one."""
    admins = Member.objects.filter(organisation_id=member.organisation_id, role=Role.ADMIN)
    if not admins.exclude(id=member.id).exists():
        raise LastAdmin("Make another member admin first.")
