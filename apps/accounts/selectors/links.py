"""Find the credential that a link was made for, by one statement."""

from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.accounts.selectors.authentication import Authenticated

_LIVE = "k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())"
_MEMBER = "EXISTS (SELECT FROM accounts_member m WHERE m.organisation_id = o.id AND m.id = %s)"
_CLIENT = (
    "EXISTS (SELECT FROM accounts_oauthapplication a"
    " WHERE a.organisation_id = o.id AND a.client_id = %s)"
)

# Whether the credential still exists, by the kind of a principal that acts for no person. Its id is
# the parameter.
_EXISTS = {
    "api_key": "EXISTS (SELECT FROM accounts_apikey k"
    f" WHERE k.organisation_id = o.id AND k.id = %s AND {_LIVE})",
    # A worker's keys all act as the worker.
    "worker": "EXISTS (SELECT FROM accounts_apikey k"
    f" WHERE k.organisation_id = o.id AND k.worker_id = %s::uuid AND {_LIVE})",
    "oauth_application": _CLIENT,
}
_HOLDER = (
    "SELECT clock_timestamp(), o.allowed_networks FROM accounts_organisation o WHERE o.id = %s"
)


@dataclass(frozen=True, slots=True)
class LinkHolder:
    """Name the principal that a link was made for, and where the link is used."""

    organisation_id: str
    kind: str
    id: str
    # The person in whose name the principal acts.
    member_id: str | None
    address: str


def authenticate_link(holder: LinkHolder) -> Authenticated | None:
    """Return the principal, without any scope; None where its credential is expired or revoked."""
    conditions = _conditions(holder)
    if not conditions:
        return None
    sql = " AND ".join([_HOLDER, *conditions])
    with connection.cursor() as cursor:
        cursor.execute(sql, [holder.organisation_id, *conditions.values()])
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
    )
    return Authenticated(principal, *row)


def _conditions(holder: LinkHolder) -> dict[str, str]:
    """Return what must hold, in SQL, each with its parameter; nothing for an unknown kind."""
    if holder.kind == "oauth_member" and holder.member_id is not None:
        # Its id is that of the member and of the client.
        return {_MEMBER: holder.member_id, _CLIENT: holder.id.partition(":")[2]}
    if holder.member_id is not None:
        return {_MEMBER: holder.member_id}
    return {_EXISTS[holder.kind]: holder.id} if holder.kind in _EXISTS else {}
