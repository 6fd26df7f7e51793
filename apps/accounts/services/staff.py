"""Let the installation's own staff read an organisation for a time, and say so to its admins.

A superuser sees which organisations exist. To read one, they open an access with a reason: the
organisation's audit log has an entry of it, and its admins get a mail.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils.translation import gettext

from apps.accounts.audit import AuditAction
from apps.accounts.mail import send_after_commit
from apps.accounts.models import Member, Organisation, StaffAccess, User
from apps.accounts.scopes import Role
from apps.accounts.selectors.staff import principal_of_access, require_staff
from apps.accounts.services.audit import record_action
from apps.accounts.services.people import create_person
from apps.base.transactions import atomic
from biolayer.errors import Fault, InvalidInput, NotFound
from biolayer.times import format_time

MIN_REASON, MAX_REASON = 10, 500
MAX_MINUTES = 60


@atomic()
def open_access(
    *,
    user_id: UUID,
    session_id: UUID | None,
    organisation_id: UUID,
    reason: str,
    minutes: int,
    address: str,
    at: datetime,
) -> StaffAccess:
    """Open an access to an organisation in one session; it closes the one that is open there.

    Raise `InvalidInput`, `NotFound` for an unknown organisation, a session that ended, and a person
    who is no superuser; `SecondFactorRequired`.
    """
    user = _lock(user_id)
    require_staff(user)
    reason = " ".join(reason.split())
    if faults := [*_faults(reason, minutes)]:
        raise InvalidInput(faults)
    organisation = Organisation.objects.filter(id=organisation_id, sandbox_of=None).first()
    if organisation is None or session_id is None:
        raise NotFound("organisation")
    _close(user, session_id=session_id, address=address, at=at)
    access = StaffAccess.objects.create(
        organisation=organisation,
        user=user,
        session_id=session_id,
        reason=reason,
        opened_at=at,
        expires_at=at + timedelta(minutes=minutes),
    )
    record_action(
        actor=principal_of_access(access, address),
        action=AuditAction.STAFF_ACCESS_OPENED,
        subject=("staff_access", access.id),
        at=at,
        reason=reason,
        expires_at=format_time(access.expires_at),
    )
    _tell_admins(access)
    return access


@atomic()
def close_access(*, user_id: UUID, session_id: UUID | None, address: str, at: datetime) -> bool:
    """Close the access that is open in a session. Return whether there was one."""
    user = _lock(user_id)
    return session_id is not None and _close(user, session_id=session_id, address=address, at=at)


@atomic()
def make_superuser(*, email: str, password: str | None) -> User:
    """Make a person, who may be new, a superuser of the installation.

    Raise `NotFound` for an unknown person without a password.
    """
    user = User.objects.select_for_update(no_key=True).filter(email=email.lower()).first()
    if user is None and password is None:
        raise NotFound("person")
    user = user or create_person(email=email, name="", password=password)
    user.is_superuser = True
    user.save(update_fields=["is_superuser"])
    return user


@atomic()
def remove_superuser(*, email: str, at: datetime) -> None:
    """Make a person an ordinary one; their accesses end at once. Raise `NotFound`."""
    user = User.objects.select_for_update(no_key=True).filter(email=email.lower()).first()
    if user is None:
        raise NotFound("person")
    user.is_superuser = False
    user.save(update_fields=["is_superuser"])
    opened = StaffAccess.objects.filter(user=user, closed_at=None, expires_at__gt=at)
    for session_id in opened.values_list("session_id", flat=True):
        _close(user, session_id=session_id, address="", at=at)


def _lock(user_id: UUID) -> User:
    """Lock the person: of two calls in their sessions one waits for the other."""
    return User.objects.select_for_update(no_key=True).get(id=user_id)


def _faults(reason: str, minutes: int) -> list[Fault]:
    faults = []
    if not MIN_REASON <= len(reason) <= MAX_REASON:
        text = f"needs {MIN_REASON} to {MAX_REASON} characters"
        faults.append(Fault("/reason", "invalid_length", text))
    if not 1 <= minutes <= MAX_MINUTES:
        faults.append(Fault("/minutes", "out_of_range", f"must be 1 to {MAX_MINUTES}"))
    return faults


def _close(user: User, *, session_id: UUID, address: str, at: datetime) -> bool:
    """Close what is open in the session; one that has expired is closed without an entry."""
    rows = StaffAccess.objects.select_related("organisation", "user")
    access = rows.filter(user=user, session_id=session_id, closed_at=None).first()
    if access is None:
        return False
    access.closed_at = min(at, access.expires_at)
    access.save(update_fields=["closed_at"])
    if access.closed_at < at:
        return False
    record_action(
        actor=principal_of_access(access, address),
        action=AuditAction.STAFF_ACCESS_CLOSED,
        subject=("staff_access", access.id),
        at=at,
    )
    return True


def _tell_admins(access: StaffAccess) -> None:
    """Send each admin a mail of its own, so that none sees the address of another."""
    organisation = access.organisation
    subject = gettext("BioLayer staff reads %(organisation)s")
    subject %= {"organisation": " ".join(organisation.name.split())}
    link = f"{settings.BASE_URL}/admin/accounts/auditevent/?subject={access.id}"
    body = render_to_string("accounts/staff_access.txt", {"access": access, "link": link})
    admins = Member.objects.filter(organisation=organisation, role=Role.ADMIN)
    for email in admins.order_by("id").values_list("user__email", flat=True):
        send_after_commit(EmailMessage(subject, body, to=[email]))
