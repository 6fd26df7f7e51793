"""Authenticate access tokens of OAuth 2.0, and read the time, by one statement.

A token of a person acts with the lesser of what the person granted, what the client may have, and
what the person's role allows, as all of them are at the time of the call: a member that was demoted
or removed loses their power at once.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import OAUTH_SCOPES, lesser_role, scopes_of_role
from apps.accounts.selectors.authentication import Authenticated

# As the statement for keys: every call pays for it, and a sandbox has its live networks.
READ = """
SELECT clock_timestamp(), coalesce(live.allowed_networks, o.allowed_networks), a.organisation_id,
    a.client_id, a.name, a.role,
    a.scopes, a.pool_ids, t.scope, t.resource, t.created, t.expires, m.id, m.role, c.scopes
FROM oauth2_provider_accesstoken t
JOIN accounts_oauthapplication a ON a.id = t.application_id
JOIN accounts_organisation o ON o.id = a.organisation_id
LEFT JOIN accounts_organisation live ON live.id = o.sandbox_of_id
LEFT JOIN accounts_user u ON u.id = t.user_id AND u.is_active
LEFT JOIN accounts_member m ON m.user_id = u.id AND m.organisation_id = a.organisation_id
LEFT JOIN accounts_oauthconsent c ON c.member_id = m.id AND c.application_id = a.id
WHERE t.token_checksum = %s AND t.expires > clock_timestamp()
    AND (t.user_id IS NULL OR c.id IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """Hold a valid token's facts, as introspection reports them."""

    authenticated: Authenticated
    client_id: str
    issued_at: datetime
    expires_at: datetime


def checksum(token: str) -> str:
    """Return what is stored of a token or a code: its SHA-256, in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def authenticate_token(text: str, *, address: str = "") -> Authenticated | None:
    """Return the principal of an access token; None if unknown, expired or revoked.

    The principal calls from `address`.
    """
    facts = token_facts(text, address=address)
    return None if facts is None else facts.authenticated


def token_facts(text: str, *, address: str = "") -> TokenFacts | None:
    """Return the facts of an access token; None unless it is valid."""
    with connection.cursor() as cursor:
        cursor.execute(READ, [checksum(text)])
        row = cursor.fetchone()
    if row is None:
        return None
    at, networks, organisation_id, client_id, name, role, allowed, pool_ids, *token = row
    scope, resource, issued_at, expires_at, member_id, member_role, consented = token
    principal = Principal(
        kind="oauth_application",
        id=client_id,
        name=name,
        organisation_id=organisation_id,
        role=role,
        scopes=OAUTH_SCOPES.intersection(scope.split(), allowed),
        pool_ids=None if pool_ids is None else frozenset(pool_ids),
        address=address,
    )
    if member_id is not None:
        principal = _for_member(principal, member_id, lesser_role(role, member_role), consented)
    authenticated = Authenticated(principal, at, networks, resources=tuple(orjson.loads(resource)))
    return TokenFacts(authenticated, client_id, issued_at, expires_at)


def _for_member(
    client: Principal, member_id: UUID, role: str, consented: Iterable[str]
) -> Principal:
    """Return the principal of a client that acts for a member."""
    return Principal(
        kind="oauth_member",
        id=f"{member_id}:{client.id}",
        name=client.name,
        organisation_id=client.organisation_id,
        role=role,
        scopes=client.scopes & scopes_of_role(role) & frozenset(consented),
        pool_ids=client.pool_ids,
        member_id=member_id,
        address=client.address,
    )
