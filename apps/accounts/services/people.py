"""Create people, and make them members of organisations."""

from datetime import datetime

from allauth.account.models import EmailAddress
from django.db import IntegrityError

from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.models import Member, User
from apps.accounts.principal import Principal
from apps.base.rows import write
from apps.base.transactions import atomic
from biolayer.errors import AlreadyMember


@atomic()
def create_person(*, email: str, name: str, password: str | None) -> User:
    """Create a person whose address is known to be theirs."""
    user = User.objects.create_user(email, password, name=name)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


@atomic()
def add_member(*, member: Member, actor: Principal, at: datetime) -> Member:
    """Store a new membership; the caller has checked that the actor may. Raise `AlreadyMember`."""
    try:
        member.save(force_insert=True)
    except IntegrityError:
        raise AlreadyMember("This person is a member already.") from None
    write(
        [
            audit_entry(
                actor=actor,
                action=AuditAction.MEMBER_ADDED,
                subject=("member", member.id),
                at=at,
                role=member.role,
            )
        ]
    )
    return member
