"""Read members, invitations and sessions; make the principal of a browser's session."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from apps.accounts.models import BrowserSession, Invitation, Member, Organisation, User
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope, scopes_of_role
from apps.base.addresses import Address, is_allowed
from apps.base.clock import DatabaseNow
from biolayer.errors import AddressNotAllowed, NotFound, SecondFactorRequired

FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def principal_of_member(
    member: Member, *, address: str = "", worker_id: UUID | None = None
) -> Principal:
    """Return a member as a principal, without a check of its second factor or address."""
    without = frozenset() if worker_id is not None else {Scope.WORK.value}
    return Principal(
        kind="member",
        id=str(member.id),
        name=member.user.get_full_name(),
        organisation_id=member.organisation_id,
        role=member.role,
        scopes=scopes_of_role(member.role) - without,
        worker_id=worker_id,
        member_id=member.id,
        address=address,
    )


def session_principal(
    *,
    user_id: UUID,
    organisation_id: UUID,
    address: Address | None = None,
    worker_id: UUID | None = None,
) -> Principal:
    """Return the principal of a person's session in one of their organisations.

    It may do what the role allows; with a `worker_id`, the worker that the person is
    (`apps.pools.selectors.worker_of_user`), it may also work. Read it for every request: a removed
    member, a lower role and a changed setting then act at once.

    Raise `NotFound` where the person is no member, `AddressNotAllowed`, `SecondFactorRequired`.
    """
    member = (
        Member.objects.select_related("user", "organisation")
        .filter(user_id=user_id, organisation_id=organisation_id, user__is_active=True)
        .first()
    )
    if member is None:
        raise NotFound("organisation")
    check_member(member, address)
    return principal_of_member(
        member, address="" if address is None else str(address), worker_id=worker_id
    )


def check_member(member: Member, address: Address | None) -> None:
    """Raise `AddressNotAllowed` or `SecondFactorRequired` where the organisation requires more."""
    organisation = member.organisation
    if not is_allowed(address, organisation.allowed_networks):
        raise AddressNotAllowed("unknown" if address is None else str(address), of="organisation")
    if organisation.requires_second_factor and not _has_factor(member):
        raise SecondFactorRequired("This organisation requires a second factor.")


def _has_factor(member: Member) -> bool:
    """Return whether the member has a second factor, by a query unless `memberships_of` read it."""
    known: bool | None = vars(member).get("has_second_factor")
    return has_second_factor(member.user_id) if known is None else known


def has_second_factor(user_id: UUID) -> bool:
    """Return whether the person has an authenticator app or a passkey."""
    return Authenticator.objects.filter(user_id=user_id, type__in=FACTORS).exists()


# --- what a person sees of themselves -------------------------------------------------------------


def memberships_of(user_id: UUID) -> "QuerySet[Member]":
    """Return the person's memberships with their organisations, the oldest first."""
    factors = Authenticator.objects.filter(user_id=OuterRef("user_id"), type__in=FACTORS)
    rows = Member.objects.filter(user_id=user_id).select_related("user", "organisation")
    return rows.annotate(has_second_factor=Exists(factors)).order_by("created_at", "id")


def sessions_of(user_id: UUID) -> "QuerySet[BrowserSession]":
    """Return the person's sessions that have not expired, the latest seen first."""
    rows = BrowserSession.objects.filter(user_id=user_id, expire_date__gt=DatabaseNow())
    return rows.order_by("-last_seen_at", "id")


FINGERPRINTS = """
SELECT s.session_key, md5(concat_ws(' ', s.session_data, u.password, u.is_active, u.is_superuser,
    (SELECT a.id FROM accounts_staffaccess a WHERE a.session_id = s.id AND a.closed_at IS NULL
     AND a.expires_at > clock_timestamp()),
    EXISTS (SELECT FROM mfa_authenticator a WHERE a.user_id = u.id AND a.type = ANY (%s)),
    (SELECT string_agg(concat_ws(' ', m.organisation_id, m.role, o.allowed_networks,
        o.requires_second_factor), ' ' ORDER BY m.id)
     FROM accounts_member m JOIN accounts_organisation o ON o.id = m.organisation_id
     WHERE m.user_id = u.id)))
FROM accounts_browsersession s JOIN accounts_user u ON u.id = s.user_id
WHERE s.session_key = ANY (%s) AND s.expire_date > clock_timestamp()
"""


def session_fingerprints(stored_keys: Collection[str]) -> dict[str, str]:
    """Return a hash of what decides on the access of each session that is signed in.

    While it stays the same, a session may do what it might before. One statement, however many
    sessions have a page open.
    """
    with connection.cursor() as cursor:
        cursor.execute(FINGERPRINTS, [[str(kind) for kind in FACTORS], list(stored_keys)])
        return dict(cursor.fetchall())


# --- what an organisation sees --------------------------------------------------------------------


def organisation_of(*, actor: Principal) -> Organisation:
    """Return the actor's organisation. Raise `RoleTooLow`, `ScopeMissing`."""
    actor.require(Scope.ORGANISATION_READ)
    return Organisation.objects.get(id=actor.organisation_id)


def tenant_id_of(*, organisation_id: UUID) -> UUID:
    """Return the tenant of an organisation; that of a sandbox is its live organisation's."""
    return Organisation.objects.values_list("tenant_id", flat=True).get(id=organisation_id)


def members(*, actor: Principal) -> "QuerySet[Member]":
    """Return the organisation's members, newest first. Raise `RoleTooLow`, `ScopeMissing`."""
    actor.require(Scope.ORGANISATION_READ)
    factors = Authenticator.objects.filter(user_id=OuterRef("user_id"), type__in=FACTORS)
    rows = Member.objects.filter(organisation_id=actor.organisation_id).select_related("user")
    return rows.annotate(has_second_factor=Exists(factors)).order_by("-created_at", "-id")


def member(*, actor: Principal, member_id: UUID) -> Member:
    """Return a member of the organisation. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    row = members(actor=actor).filter(id=member_id).first()
    if row is None:
        raise NotFound("member")
    return row


def member_sessions(*, actor: Principal, member_id: UUID) -> "QuerySet[BrowserSession]":
    """Return the sessions of a member, the latest seen first.

    Raise `NotFound`, `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.ORGANISATION_MANAGE)
    actor.require_every_pool()
    return sessions_of(member(actor=actor, member_id=member_id).user_id)


def invitation(*, actor: Principal, invitation_id: UUID) -> Invitation:
    """Return an invitation. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    row = invitations(actor=actor).filter(id=invitation_id).first()
    if row is None:
        raise NotFound("invitation")
    return row


def invitations(*, actor: Principal) -> "QuerySet[Invitation]":
    """Return the organisation's invitations, newest first. Raise `RoleTooLow`, `ScopeMissing`."""
    actor.require(Scope.ORGANISATION_READ)
    rows = Invitation.objects.filter(organisation_id=actor.organisation_id)
    return rows.order_by("-created_at", "-id")


def invitation_state(invitation: Invitation, at: datetime) -> str:
    """Return `open`, `accepted`, `revoked` or `expired`."""
    if invitation.accepted_at is not None:
        return "accepted"
    if invitation.revoked_at is not None:
        return "revoked"
    return "open" if invitation.expires_at > at else "expired"


def invitation_by_hash(token_hash: bytes) -> Invitation | None:
    """Return the invitation of a link, with its organisation; None for an unknown one."""
    return Invitation.objects.select_related("organisation").filter(token_hash=token_hash).first()


def person_by_email(email: str) -> User | None:
    """Return the person with this address."""
    return User.objects.filter(email=email.lower()).first()
