"""Authenticate API keys, and read the time, by one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models.functions import Coalesce

from apps.accounts.keys import parse_key
from apps.accounts.models import OAuthApplication
from apps.accounts.principal import Principal
from apps.accounts.sandbox_ids import is_of_sandbox


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Hold a principal, the database's time, and what limits where the credential is valid.

    Both lists of networks must allow the address; an empty list allows every one.
    """

    principal: Principal
    at: datetime
    organisation_networks: Sequence[str]
    key_networks: Sequence[str] = ()
    # The secret of an API key whose last use was not written for a minute; empty otherwise.
    unrecorded_secret_id: str = ""
    # The resources that a token is bound to (RFC 8707); empty: any.
    resources: tuple[str, ...] = ()
    # Whether a token's person has no second factor although the organisation requires one.
    lacks_second_factor: bool = False


# In SQL, since every call pays for it: the ORM takes longer to build it than PostgreSQL to run it.
# The networks of a sandbox are those of its live organisation.
# The hash is compared here, so that a wrong secret and an unknown id are the same work: one hash,
# and one statement without a row. How long the comparison takes reveals nothing: the hash is keyed,
# so its bytes cannot be chosen.
KEY = """
SELECT clock_timestamp(), coalesce(live.allowed_networks, o.allowed_networks),
    k.allowed_networks,
    k.last_used_at IS NULL OR k.last_used_at < clock_timestamp() - INTERVAL '1 minute',
    COALESCE(k.original_id, k.id),
    k.organisation_id, k.name, k.role, k.scopes, k.pool_ids, k.worker_id
FROM accounts_apikey k JOIN accounts_organisation o ON o.id = k.organisation_id
LEFT JOIN accounts_organisation live ON live.id = o.sandbox_of_id
WHERE k.id = %s AND k.secret_hash = %s AND k.revoked_at IS NULL
  AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
"""


def authenticate_key(text: str, *, address: str = "") -> Authenticated | None:
    """Return the principal of an API key; None if mistyped, unknown, expired or revoked.

    The principal calls from `address`. It is the same for both secrets of a key.
    """
    key = parse_key(text)
    if key is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(KEY, [key.id, key.secret_hash])
        row = cursor.fetchone()
    if row is None:
        return None
    at, organisation_networks, key_networks, is_unrecorded, key_id = row[:5]
    organisation_id, name, role, scopes, pool_ids, worker_id = row[5:]
    if key.is_test != is_of_sandbox(organisation_id):
        return None  # Its prefix would be wrong about what it acts in.
    principal = Principal(
        kind="worker" if worker_id else "api_key",
        id=str(worker_id or key_id),
        name=name,
        organisation_id=organisation_id,
        role=role,
        scopes=frozenset(scopes),
        pool_ids=None if pool_ids is None else frozenset(pool_ids),
        worker_id=worker_id,
        address=address,
        key_id=key_id,
    )
    secret_id = key.id if is_unrecorded else ""
    return Authenticated(principal, at, organisation_networks, key_networks or (), secret_id)


def networks_of_client(*, client_id: str) -> Sequence[str]:
    """Return the networks from which an OAuth 2.0 client may call; empty: any, or no such client

    Those of a sandbox are its live organisation's.
    """
    of = "organisation__sandbox_of__allowed_networks", "organisation__allowed_networks"
    rows = OAuthApplication.objects.filter(client_id=client_id)
    return rows.values_list(Coalesce(*of), flat=True).first() or ()
