"""Erase what names a person, and revoke what acts in their name."""

from datetime import datetime
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator

from apps.accounts.models import ApiKey, BrowserSession, Invitation, Member, User
from apps.base.erasure import Finding
from apps.base.transactions import atomic


def revoke_worker_keys(*, worker_id: UUID, name: str, apply: bool, at: datetime) -> int:
    """Revoke the keys that act for a worker, and rename them. Return how many there are."""
    keys = ApiKey.objects.filter(worker_id=worker_id).exclude(name=name)
    if not apply:
        return keys.count()
    ApiKey.objects.filter(worker_id=worker_id, revoked_at=None).update(revoked_at=at)
    return keys.update(name=name)


@atomic()
def erase_user(*, organisation_id: UUID, email: str, apply: bool) -> list[Finding]:
    """Remove a person from an organisation. In their last one, replace what names them.

    The account's id stays, since the audit log refers to it. Without `apply` nothing is changed.
    Return what was found: for someone who never joined, invitations at most.
    """
    user = User.objects.select_for_update().filter(email__iexact=email).first()
    ours = Member.objects.filter(organisation_id=organisation_id, user=user)
    invitations = Invitation.objects.filter(
        organisation_id=organisation_id, email__iexact=email if user is None else user.email
    )
    findings = []
    if invitations.exists():
        findings.append(Finding("invitations to the organisation", invitations.count()))
    if apply:
        invitations.delete()
    if user is None or not ours.exists():
        return findings
    findings.append(Finding("memberships of the organisation", 1))
    others = Member.objects.filter(user=user).exclude(organisation_id=organisation_id).count()
    if apply:
        ours.delete()
    if others:
        why = "the account is a member of other organisations"
        return [*findings, Finding("accounts: name, e-mail, password", 1, why)]
    if apply:
        _empty(user)
    return [*findings, Finding("accounts: name, e-mail, password", 1)]


def _empty(user: User) -> None:
    """Replace what names a person, delete second factors and sessions. The account is inactive."""
    EmailAddress.objects.filter(user=user).delete()
    Authenticator.objects.filter(user=user).delete()
    BrowserSession.objects.filter(user=user).delete()
    user.email = f"erased-{user.id.hex}@invalid.example"
    user.name = ""
    user.is_active = False
    user.set_unusable_password()
    user.save()
