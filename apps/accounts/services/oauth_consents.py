"""Store and revoke the consents of members to clients of OAuth 2.0."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.models import OAuthApplication, OAuthConsent
from apps.accounts.principal import Principal
from apps.accounts.services.oauth_tokens import delete_tokens, lock_client
from apps.base.ids import new_id
from apps.base.rows import write
from apps.base.transactions import atomic
from biolayer.errors import NotFound

# A concurrent consent to the same client is waited for, and added to.
ADD_CONSENT = """
INSERT INTO accounts_oauthconsent (id, organisation_id, application_id, member_id, scopes)
VALUES (%s, %s, %s, %s, '{}') ON CONFLICT (application_id, member_id) DO NOTHING
"""


@atomic()
def give_consent(
    *, actor: Principal, application: OAuthApplication, scopes: Sequence[str], at: datetime
) -> None:
    """Let a client act for the acting member with `scopes`, beside those it has already.

    Raise `NotFound` unless both are of one organisation.
    """
    member_id = actor.member_id
    if member_id is None or application.organisation_id != actor.organisation_id:
        raise NotFound("OAuth application")
    if not lock_client(application_id=application.pk):
        raise NotFound("OAuth application")
    is_new = _insert(application, member_id)
    consent = OAuthConsent.objects.select_for_update().get(
        application=application, member_id=member_id
    )
    if is_new:
        # Those of an earlier consent, which was revoked while they were issued.
        delete_tokens(application_id=application.pk, user_id=consent.member.user_id)
    added = sorted({*scopes} - {*consent.scopes})
    if not added and not is_new:
        return
    consent.scopes = sorted({*scopes, *consent.scopes})
    consent.updated_at = at
    consent.save(update_fields=["scopes", "updated_at"])
    subject = ("oauth_grant", consent.id)
    facts = {"client_id": application.client_id, "scopes": added}
    entry = audit_entry(
        actor=actor, action=AuditAction.CONSENT_GIVEN, subject=subject, at=at, **facts
    )
    write([entry])


def _insert(application: OAuthApplication, member_id: UUID) -> bool:
    """Insert a consent without scopes. Return False where the member has one for the client."""
    row: list[Any] = [new_id(), application.organisation_id, application.pk, member_id]
    with connection.cursor() as cursor:
        cursor.execute(ADD_CONSENT, row)
        return bool(cursor.rowcount)


@atomic()
def revoke_consent(*, actor: Principal, consent_id: UUID, at: datetime) -> None:
    """Revoke a consent of the acting member; the client's tokens for them end at once.

    Raise `NotFound`.
    """
    if actor.member_id is None:
        raise NotFound("consent")
    mine = OAuthConsent.objects.filter(id=consent_id, member_id=actor.member_id)
    application_id = mine.values_list("application_id", flat=True).first()
    if application_id is None or not lock_client(application_id=application_id):
        raise NotFound("consent")
    rows = mine.select_related("application", "member").select_for_update(of=("self",))
    consent = rows.first()
    if consent is None:
        raise NotFound("consent")
    delete_tokens(application_id=consent.application_id, user_id=consent.member.user_id)
    subject = ("oauth_grant", consent.id)
    facts = {"client_id": consent.application.client_id}
    entry = audit_entry(
        actor=actor, action=AuditAction.CONSENT_REVOKED, subject=subject, at=at, **facts
    )
    write([entry])
    consent.delete()
