"""Find the credential that a link was made for, by one statement."""

from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.accounts.selectors.authentication import Authenticated

# The networks of a sandbox are those of its live organisation.
_ORGANISATION = """
SELECT clock_timestamp(), coalesce(live.allowed_networks, o.allowed_networks)
FROM accounts_organisation o LEFT JOIN accounts_organisation live ON live.id = o.sandbox_of_id
WHERE o.id = %s
"""
_MEMBER = "EXISTS (SELECT FROM accounts_member m WHERE m.organisation_id = o.id AND m.id = %s)"
_CLIENT = (
    "EXISTS (SELECT FROM accounts_oauthapplication a"
    " WHERE a.organisation_id = o.id AND a.client_id = %s)"
)
# Without the consent no token of the client for the member is valid.
_CONSENT = (
    "EXISTS (SELECT FROM accounts_oauthconsent c"
    " JOIN accounts_oauthapplication a ON a.id = c.application_id"
    " JOIN accounts_member m ON m.id = c.member_id JOIN accounts_user u ON u.id = m.user_id"
    " WHERE c.organisation_id = o.id AND m.id = %s AND a.client_id = %s AND u.is_active)"
)
# Any secret of the key is enough: rotating it does not end its links.
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
    """Name the principal that a link was made for, and where the link is used."""

    organisation_id: str
    kind: str
    id: str
    # The person in whose name the principal acts.
    member_id: str | None
    # The API key that the principal came with; empty for others.
    key_id: str
    address: str


def authenticate_link(holder: LinkHolder) -> Authenticated | None:
    """Return the principal, without any scope; None where its credential is expired or revoked."""
    sql, params = _statement(holder)
    if not sql:
        return None
    with connection.cursor() as cursor:
        cursor.execute(sql, [holder.organisation_id, *params])
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
        member_id=None if holder.member_id is None else UUID(holder.member_id),
        address=holder.address,
        key_id=holder.key_id,
    )
    return Authenticated(principal, *row)


def _statement(holder: LinkHolder) -> tuple[str, list[str]]:
    """Return the statement that finds the credential, and its parameters; empty for no kind."""
    if holder.key_id:
        return _KEY, [holder.key_id, holder.key_id]
    match holder.kind, holder.member_id:
        case "oauth_member", str(member_id):
            # Its id is that of the member and of the client.
            client_id = holder.id.partition(":")[2]
            return f"{_ORGANISATION} AND {_CONSENT}", [member_id, client_id]
        case _, str(member_id):
            return f"{_ORGANISATION} AND {_MEMBER}", [member_id]
        case "oauth_application", None:
            return f"{_ORGANISATION} AND {_CLIENT}", [holder.id]
    return "", []
