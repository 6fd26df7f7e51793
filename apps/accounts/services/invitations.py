"""Invite people by e-mail, and let them join.

1. An invitation is a row, with the hash of its link's token.
2. Its mail is sent after the commit; the row then says when, or what went wrong.
3. The link's page makes an account, or adds the membership to the account of the address. Only the
   owner of the address has the link, which verifies it. Reactions make a worker of the member.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils.translation import gettext

from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.mail import send_after_commit
from apps.accounts.models import Invitation, Member, Organisation, User
from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.accounts.selectors.people import principal_of_member
from apps.accounts.services.locks import lock_organisation
from apps.accounts.services.people import add_member, create_person
from apps.base import clock, crypto
from apps.base.rows import write
from apps.base.transactions import atomic
from biolayer.errors import (
    AlreadyMember,
    InvitationClosed,
    InvitationOpen,
    NotFound,
    WrongAddress,
)

VALID_FOR = timedelta(days=7)


# Called with a new member, their invitation, the member as actor, and the time.
JoinReaction = Callable[[Member, Invitation, Principal, datetime], None]

_reactions: list[JoinReaction] = []


def react_to_joining(reaction: JoinReaction) -> None:
    """Call `reaction` in the transaction of an acceptance. Called by config/wiring.py only."""
    _reactions.append(reaction)


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """Hold an invitation with the link that accepts it, which is never shown again."""

    invitation: Invitation
    link: str


def token_hash(token: str) -> bytes:
    """Return what the row stores of a link's token."""
    return crypto.keyed_hash("invitation", token.encode())


@atomic()
def invite(
    *,
    actor: Principal,
    email: str,
    role: Role,
    worker: Mapping[str, Any] | None = None,
    at: datetime,
) -> Invitation:
    """Invite an address with a role that is at most the actor's own, and send the mail.

    `worker` is stored for those who react to the joining; `apps.pools.services.invite_person`
    checks it before. Raise `AlreadyMember`, `InvitationOpen`, `PoolNotGranted`, `RoleTooLow`,
    `ScopeMissing`.
    """
    organisation = lock_organisation(actor=actor)
    actor.require_role(role)
    made = open_invitation(
        organisation=organisation,
        actor=actor,
        email=email.lower(),
        role=role,
        worker=worker,
        at=at,
    )
    _send(made, organisation)
    return made.invitation


@atomic()
def open_invitation(
    *,
    organisation: Organisation,
    actor: Principal,
    email: str,
    role: Role,
    worker: Mapping[str, Any] | None = None,
    at: datetime,
) -> NewInvitation:
    """Create an invitation to a locked (or new) organisation. No mail is sent."""
    if Member.objects.filter(organisation=organisation, user__email=email).exists():
        raise AlreadyMember("This person is a member already.")
    opened = Invitation.objects.filter(
        organisation=organisation, email=email, accepted_at=None, revoked_at=None
    )
    previous = opened.first()
    if previous is not None and previous.expires_at > at:
        raise InvitationOpen(str(previous.id))
    opened.update(revoked_at=at)  # it has expired
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        organisation=organisation,
        email=email,
        role=role,
        worker=None if worker is None else dict(worker),
        invited_by=actor.text,
        token_hash=token_hash(token),
        created_at=at,
        expires_at=at + VALID_FOR,
    )
    _record(actor, AuditAction.MEMBER_INVITED, invitation, at)
    return NewInvitation(invitation, _link(token))


@atomic()
def resend_invitation(*, actor: Principal, invitation_id: UUID, at: datetime) -> Invitation:
    """Send an open invitation again, with a new link that is valid for 7 days.

    Raise `InvitationClosed`, `NotFound`, `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`.
    """
    organisation = lock_organisation(actor=actor)
    invitation = _open_invitation_of(actor, invitation_id)
    actor.require_role(Role(invitation.role))
    token = secrets.token_urlsafe(32)
    invitation.token_hash, invitation.expires_at = token_hash(token), at + VALID_FOR
    invitation.sent_at, invitation.mail_error = None, ""
    invitation.save(update_fields=["token_hash", "expires_at", "sent_at", "mail_error"])
    _record(actor, AuditAction.MEMBER_INVITED, invitation, at, again=True)
    _send(NewInvitation(invitation, _link(token)), organisation)
    return invitation


@atomic()
def revoke_invitation(*, actor: Principal, invitation_id: UUID, at: datetime) -> None:
    """End an open invitation: its link no longer works.

    Raise `InvitationClosed`, `NotFound`, `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`.
    """
    lock_organisation(actor=actor)
    invitation = _open_invitation_of(actor, invitation_id)
    invitation.revoked_at = at
    invitation.save(update_fields=["revoked_at"])
    _record(actor, AuditAction.INVITATION_REVOKED, invitation, at)


@atomic()
def accept_invitation(
    *,
    token: str,
    user: User | None,
    name: str = "",
    password: str | None = None,
    address: str = "",
    at: datetime,
) -> Member:
    """Join by an invitation's link: as `user`, who is signed in, or as a new person.

    Raise `NotFound` for a link that is unknown or no longer valid; `WrongAddress` for another
    address than the invited one, `AlreadyMember`.
    """
    found = Invitation.objects.filter(token_hash=token_hash(token)).first()
    if found is None:
        raise NotFound("invitation")
    # The order of every change of people: first the organisation, then the rows below it.
    Organisation.objects.select_for_update(no_key=True).get(id=found.organisation_id)
    invitation = Invitation.objects.select_for_update(no_key=True).get(id=found.id)
    if not is_open(invitation, at) or bytes(invitation.token_hash) != token_hash(token):
        raise NotFound("invitation")
    if user is None:
        user = _new_person(invitation.email, name, password)
    if user.email != invitation.email:
        raise WrongAddress("The invitation is for another e-mail address.")
    invitation.accepted_at = at
    invitation.save(update_fields=["accepted_at"])
    member = Member(
        organisation_id=invitation.organisation_id, user=user, role=invitation.role, created_at=at
    )
    joined_by = principal_of_member(member, address=address)
    add_member(member=member, actor=joined_by, at=at)
    for reaction in _reactions:
        reaction(member, invitation, joined_by, at)
    return member


def store_outcome(invitation: Invitation, worker: Mapping[str, Any]) -> None:
    """Store on a locked invitation that was accepted what became of its worker."""
    invitation.worker = dict(worker)
    invitation.save(update_fields=["worker"])


def is_open(invitation: Invitation, at: datetime) -> bool:
    """Return whether the invitation can be accepted."""
    is_ended = invitation.accepted_at is not None or invitation.revoked_at is not None
    return not is_ended and invitation.expires_at > at


def _new_person(email: str, name: str, password: str | None) -> User:
    if User.objects.filter(email=email).exists():
        raise WrongAddress("This address has an account: sign in first.")
    return create_person(email=email, name=name, password=password)


def _open_invitation_of(actor: Principal, invitation_id: UUID) -> Invitation:
    rows = Invitation.objects.filter(organisation_id=actor.organisation_id)
    invitation = rows.filter(id=invitation_id).first()
    if invitation is None:
        raise NotFound("invitation")
    if invitation.accepted_at is not None or invitation.revoked_at is not None:
        raise InvitationClosed("It was accepted or revoked.")
    return invitation


def _record(
    actor: Principal, action: AuditAction, invitation: Invitation, at: datetime, **facts: object
) -> None:
    subject = ("invitation", invitation.id)
    write(
        [
            audit_entry(
                actor=actor, action=action, subject=subject, at=at, role=invitation.role, **facts
            )
        ]
    )


def _link(token: str) -> str:
    return f"{settings.BASE_URL}/accounts/invitations/{token}/"


def _send(made: NewInvitation, organisation: Organisation) -> None:
    """Send the mail after the commit, and store on the row what became of it."""
    invitation = made.invitation
    body = render_to_string(
        "accounts/invitation.txt",
        {"organisation": organisation.name, "link": made.link, "invitation": invitation},
    )
    subject = gettext("Join %(organisation)s on BioLayer")
    subject %= {"organisation": " ".join(organisation.name.split())}
    message = EmailMessage(subject, body, to=[invitation.email])
    send_after_commit(
        message, then=partial(_store_result, invitation.id, bytes(invitation.token_hash))
    )


def _store_result(invitation_id: UUID, sent_hash: bytes, problem: str) -> None:
    """Store the result of a mail, unless a later one has replaced its link."""
    sent_at = None if problem else clock.now()
    rows = Invitation.objects.filter(id=invitation_id, token_hash=sent_hash)
    rows.update(sent_at=sent_at, mail_error=problem)
