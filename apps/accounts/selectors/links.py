"""Find the credential that a link was made for, by one statement."""

import hashlib
from dataclasses import dataclass, replace
from uuid import UUID

import orjson
from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.accounts.selectors.authentication import Authenticated
from apps.accounts.selectors.tokens import token_by_id

# The networks of a sandbox are those of its live organisation. Any secret of the key is enough:
# rotating it does not end its links.
_KEY = """
SELECT clock_timestamp(), coalesce(live.allowed_networks, o.allowed_networks),
    COALESCE(k.allowed_networks, '{}')
FROM accounts_organisation o JOIN accounts_apikey k ON k.organisation_id = o.id
LEFT JOIN accounts_organisation live ON live.id = o.sandbox_of_id
WHERE o.id = %s AND (k.id = %s OR k.original_id = %s) AND k.revoked_at IS NULL
    AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class LinkHolder:
    """Name the principal that a link was made for, its credential, and where the link is used."""

    organisation_id: str
    kind: str
    id: str
    # The API key that the principal came with; empty for others.
    key_id: str
    # The access token; 0 for others.
    token_id: int
    # What the token could do when the link was made: `grant_hash`. A key's grant never changes.
    grant: str
    address: str


def grant_hash(principal: Principal) -> str:
    """Return a hash of what a credential can do: a link ends when that changes."""
    pools = None if principal.pool_ids is None else sorted(map(str, principal.pool_ids))
    grant = orjson.dumps([principal.role, sorted(principal.scopes), pools])
    return hashlib.sha256(grant).hexdigest()[:32]


def authenticate_link(holder: LinkHolder) -> Authenticated | None:
    """Return the principal, without any scope; None where its credential has ended.

    None also where it is neither a key nor a token: such a link would not end with its credential.
    """
    if holder.key_id:
        return _by_key(holder)
    return _by_token(holder) if holder.token_id else None


def _by_key(holder: LinkHolder) -> Authenticated | None:
    with connection.cursor() as cursor:
        cursor.execute(_KEY, [holder.organisation_id, holder.key_id, holder.key_id])
        row = cursor.fetchone()
    if row is None:
        return None
    principal = Principal(
        kind=holder.kind,
        id=holder.id,
        name="",
        organisation_id=UUID(holder.organisation_id),
        role=Role.VIEWER,
        scopes=frozenset(),
        address=holder.address,
        key_id=holder.key_id,
    )
    return Authenticated(principal, *row)


def _by_token(holder: LinkHolder) -> Authenticated | None:
    present = token_by_id(holder.token_id, address=holder.address)
    if present is None or grant_hash(present.principal) != holder.grant:
        return None
    # The link was made for what this principal may see, and needs no more than to name it.
    principal = replace(
        present.principal, role=Role.VIEWER, scopes=frozenset(), pool_ids=None, name=""
    )
    return replace(present, principal=principal)
