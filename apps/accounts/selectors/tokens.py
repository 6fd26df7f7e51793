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
from apps.accounts.selectors.people import FACTORS

# As the statement for keys: every call pays for it, and a sandbox has its live networks.
_SELECT = """
SELECT clock_timestamp(), coalesce(live.allowed_networks, o.allowed_networks),
    coalesce(live.requires_second_factor, o.requires_second_factor) AND m.id IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM mfa_authenticator f WHERE f.user_id = u.id AND f.type = ANY (%s)),
    a.organisation_id, a.client_id, a.name, a.role,
    a.scopes, a.pool_ids, t.id, t.scope, t.resource, t.created, t.expires, m.id, m.role, c.scopes
FROM oauth2_provider_accesstoken t
JOIN accounts_oauthapplication a ON a.id = t.application_id
JOIN accounts_organisation o ON o.id = a.organisation_id
LEFT JOIN accounts_organisation live ON live.id = o.sandbox_of_id
LEFT JOIN accounts_user u ON u.id = t.user_id AND u.is_active
LEFT JOIN accounts_member m ON m.user_id = u.id AND m.organisation_id = a.organisation_id
LEFT JOIN accounts_oauthconsent c ON c.member_id = m.id AND c.application_id = a.id
WHERE t.expires > clock_timestamp() AND (t.user_id IS NULL OR c.id IS NOT NULL)
"""
READ = f"{_SELECT} AND t.token_checksum = %s"
READ_BY_ID = f"{_SELECT} AND t.id = %s"
_FACTORS = [str(kind) for kind in FACTORS]


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
    return _facts(READ, checksum(text), address)


def token_by_id(token_id: int, *, address: str = "") -> Authenticated | None:
    """Return the principal of an access token that was authenticated before, as it is now."""
    facts = _facts(READ_BY_ID, token_id, address)
    return None if facts is None else facts.authenticated


def _facts(sql: str, token: str | int, address: str) -> TokenFacts | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, [_FACTORS, token])
        row = cursor.fetchone()
    if row is None:
        return None
    at, networks, lacks_factor, organisation_id, client_id, name, role, *rest = row
    allowed, pool_ids, token_id, scope, resource, issued_at, expires_at, *member = rest
    member_id, member_role, consented = member
    principal = Principal(
        kind="oauth_application",
        id=client_id,
        name=name,
        organisation_id=organisation_id,
        role=role,
        scopes=OAUTH_SCOPES.intersection(scope.split(), allowed),
        pool_ids=None if pool_ids is None else frozenset(pool_ids),
        address=address,
        token_id=token_id,
    )
    if member_id is not None:
        principal = _for_member(principal, member_id, lesser_role(role, member_role), consented)
    authenticated = Authenticated(
        principal,
        at,
        networks,
        resources=tuple(orjson.loads(resource)),
        lacks_second_factor=lacks_factor,
    )
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
        token_id=client.token_id,
    )
