"""Find the credential that a link was made for, by one statement."""

from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.accounts.selectors.authentication import Authenticated

_LIVE = "k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())"
_MEMBER = "EXISTS (SELECT FROM accounts_member m WHERE m.organisation_id = o.id AND m.id = %s)"

# Whether the credential still exists, by the kind of its principal, whose id is the parameter.
_EXISTS = {
    "api_key": "EXISTS (SELECT FROM accounts_apikey k"
    f" WHERE k.organisation_id = o.id AND k.id = %s AND {_LIVE})",
    # A worker's keys all act as the worker.
    "worker": "EXISTS (SELECT FROM accounts_apikey k"
    f" WHERE k.organisation_id = o.id AND k.worker_id = %s::uuid AND {_LIVE})",
    "oauth_application": "EXISTS (SELECT FROM accounts_oauthapplication a"
    " WHERE a.organisation_id = o.id AND a.client_id = %s)",
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
    if holder.member_id is not None:
        condition, subject = _MEMBER, holder.member_id
    elif holder.kind in _EXISTS:
        condition, subject = _EXISTS[holder.kind], holder.id
    else:
        return None
    with connection.cursor() as cursor:
        cursor.execute(f"{_HOLDER} AND {condition}", [holder.organisation_id, subject])
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
