"""Lock an organisation before its people are changed: two calls see each other's result."""

from uuid import UUID

from apps.accounts.models import Member, Organisation
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from biolayer.errors import NotFound


def lock_organisation(*, actor: Principal) -> Organisation:
    """Lock and return the actor's organisation, which the actor manages as a whole.

    Raise `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.ORGANISATION_MANAGE)
    actor.require_every_pool()
    return Organisation.objects.select_for_update(no_key=True).get(id=actor.organisation_id)


def member_of(*, actor: Principal, member_id: UUID) -> Member:
    """Return a member of the actor's organisation, which is locked. Raise `NotFound`."""
    rows = Member.objects.select_related("user", "organisation")
    member = rows.filter(id=member_id, organisation_id=actor.organisation_id).first()
    if member is None:
        raise NotFound("member")
    return member
