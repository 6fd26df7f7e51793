"""End sessions, and record in the audit log what people do with their accounts.

A person's sign-in concerns each of their organisations, so each log gets an entry.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.counters import purge_counters
from apps.accounts.models import BrowserSession, Member
from apps.accounts.principal import Principal, system
from apps.accounts.selectors.people import principal_of_member
from apps.accounts.services.locks import lock_organisation, member_of
from apps.accounts.sessions import SessionStore, stored_key
from apps.base import clock
from apps.base.rows import write
from apps.base.transactions import atomic
from biolayer.errors import NotFound


def record_for_person(
    *,
    action: AuditAction,
    address: str,
    at: datetime,
    user_id: UUID | None = None,
    email: str = "",
    **facts: Any,
) -> None:
    """Record what a person did, in the log of each of their organisations.

    The person is named by id, or by the e-mail address of an attempt to sign in.
    """
    rows = Member.objects.select_related("user").order_by("id")
    found = rows.filter(user_id=user_id) if user_id else rows.filter(user__email=email.lower())
    write(
        audit_entry(
            actor=principal_of_member(member, address=address),
            action=action,
            subject=("user", member.user_id),
            at=at,
            **facts,
        )
        for member in found
    )


@atomic()
def end_session(*, user_id: UUID, session_id: UUID, address: str, at: datetime) -> None:
    """End a session of the person: its next request is anonymous. Raise `NotFound`."""
    rows = BrowserSession.objects.filter(id=session_id, user_id=user_id)
    deleted, _ = rows.delete()
    if not deleted:
        raise NotFound("session")
    record_for_person(
        action=AuditAction.SIGNED_OUT,
        address=address,
        at=at,
        user_id=user_id,
        session_id=str(session_id),
        revoked=True,
    )


@atomic()
def end_other_sessions(
    *, user_id: UUID, session_key: str | None, address: str, at: datetime
) -> int:
    """End every session of the person but the one of this cookie. Return how many."""
    rows = BrowserSession.objects.filter(user_id=user_id)
    if session_key:
        rows = rows.exclude(session_key=stored_key(session_key))
    deleted, _ = rows.delete()
    if deleted:
        record_for_person(
            action=AuditAction.SIGNED_OUT,
            address=address,
            at=at,
            user_id=user_id,
            sessions=deleted,
            revoked=True,
        )
    return deleted


@atomic()
def end_member_session(
    *, actor: Principal, member_id: UUID, session_id: UUID, at: datetime
) -> None:
    """End a session of a member, whose next request is anonymous.

    The session is the person's, also in their other organisations: each log gets an entry, which
    names the actor in the actor's own. Raise `NotFound`, `PoolNotGranted`, `RoleTooLow`,
    `ScopeMissing`.
    """
    lock_organisation(actor=actor)
    user_id = member_of(actor=actor, member_id=member_id).user_id
    deleted, _ = BrowserSession.objects.filter(id=session_id, user_id=user_id).delete()
    if not deleted:
        raise NotFound("session")
    concerned = Member.objects.filter(user_id=user_id).order_by("id")
    organisation_ids = concerned.values_list("organisation_id", flat=True)
    write(
        audit_entry(
            actor=actor if one == actor.organisation_id else system("another admin", one),
            action=AuditAction.SIGNED_OUT,
            subject=("user", user_id),
            at=at,
            session_id=str(session_id),
            revoked=True,
        )
        for one in organisation_ids
    )


def purge_sign_ins() -> int:
    """Delete expired sessions and counters. Return how many counters."""
    SessionStore.clear_expired()
    return purge_counters(at=clock.now())
