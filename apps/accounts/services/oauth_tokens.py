"""End tokens of OAuth 2.0, and lock what a new token depends on.

One order of locks, so that no two calls wait for each other: the client, the consent, the code or
the refresh token, the access token. A call that issues tokens shares the locks of the client and
the consent; a call that deletes one of them therefore waits for it, and then finds its tokens.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from oauth2_provider.models import AccessToken, RefreshToken

from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.models import OAuthApplication, OAuthCode
from apps.accounts.principal import Principal
from apps.base import clock
from apps.base.rows import write

# A refresh token ends this long after it was issued, and its family after the code was used.
REFRESH_IDLE = timedelta(days=30)
REFRESH_LIFETIME = timedelta(days=90)
CODE_SECONDS = 60

BATCH = 10_000


def lock_client(*, application_id: int) -> bool:
    """Share the lock of a client until the transaction ends. Return whether it still exists."""
    return _locks(
        "SELECT 1 FROM accounts_oauthapplication WHERE id = %s FOR KEY SHARE", [application_id]
    )


CONSENT = """
SELECT 1 FROM accounts_oauthconsent c
JOIN accounts_member m ON m.id = c.member_id
JOIN accounts_user u ON u.id = m.user_id
WHERE c.application_id = %s AND u.id = %s AND u.is_active
FOR KEY SHARE OF c
"""


def lock_consent(*, application_id: int, user_id: UUID) -> bool:
    """Share the lock of a member's consent. Return whether the member still consents."""
    return _locks(CONSENT, [application_id, user_id])


def _locks(sql: str, params: list[Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchone() is not None


def end_reused_family(
    *, application: OAuthApplication, family: UUID, what: str, address: str, at: datetime
) -> None:
    """End every token of a family: a code or a refresh token of it was used again.

    One of the two users is a thief (RFC 6749, 4.1.2; RFC 9700, 4.14.2). A family that has ended
    already is left as it is: then a client only repeats itself.
    """
    if not RefreshToken.objects.filter(token_family=family, revoked__isnull=True).exists():
        return
    RefreshToken.revoke_family(family)
    client = Principal(
        kind="oauth_application",
        id=application.client_id,
        name=application.name,
        organisation_id=application.organisation_id,
        role=application.role,
        scopes=frozenset(),
        address=address,
    )
    subject = ("oauth_application", application.client_id)
    entry = audit_entry(
        actor=client,
        action=AuditAction.TOKEN_REUSED,
        subject=subject,
        at=at,
        token=what,
        family=str(family),
    )
    write([entry])


DELETE_TOKENS = (
    # Refresh tokens and access tokens refer to each other; their foreign keys are deferred.
    "DELETE FROM oauth2_provider_refreshtoken WHERE application_id = %s{of_user}",
    "DELETE FROM oauth2_provider_accesstoken WHERE application_id = %s{of_user}",
    "DELETE FROM accounts_oauthcode WHERE application_id = %s{of_user}",
)


def delete_tokens(*, application_id: int, user_id: UUID | None = None) -> None:
    """Delete the tokens and codes of a client: those for one person, or all."""
    of_user = "" if user_id is None else " AND user_id = %s"
    params: list[Any] = [application_id] if user_id is None else [application_id, user_id]
    with connection.cursor() as cursor:
        for sql in DELETE_TOKENS:
            cursor.execute(sql.format(of_user=of_user), params)


def delete_expired_tokens(*, at: datetime | None = None) -> int:
    """Delete up to `BATCH` rows each of what has expired. Return how many were deleted.

    A refresh token, used or not, is kept for `REFRESH_LIFETIME`, and a used code as well: that long
    their reuse would be detected.
    """
    moment = at or clock.now()
    ended = moment - REFRESH_LIFETIME
    refresh = RefreshToken.objects.filter(created__lte=ended).order_by("created")
    access = AccessToken.objects.filter(expires__lte=moment, refresh_token__isnull=True)
    unused = OAuthCode.objects.filter(expires__lte=moment, used_at__isnull=True)
    used = OAuthCode.objects.filter(used_at__lte=ended)
    return sum(
        int(
            rows.model.objects.filter(
                pk__in=list(rows.values_list("pk", flat=True)[:BATCH])
            ).delete()[0]
        )
        for rows in (refresh, access, unused, used)
    )
