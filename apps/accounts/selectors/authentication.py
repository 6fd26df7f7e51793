"""Authenticate credentials, and read the time, by one statement."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from oauth2_provider.models import AccessToken

from apps.accounts.keys import parse_key
from apps.accounts.principal import Principal
from apps.base.clock import DatabaseNow


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Hold a principal, the database's time, and the networks that the call may come from."""

    principal: Principal
    at: datetime
    allowed_networks: list[str]


# In SQL, since every call pays for it: the ORM takes longer to build it than PostgreSQL to run it.
KEY = """
SELECT k.secret_hash, clock_timestamp(), o.allowed_networks,
    k.organisation_id, k.name, k.role, k.scopes, k.pool_ids, k.worker_id
FROM accounts_apikey k JOIN accounts_organisation o ON o.id = k.organisation_id
WHERE k.id = %s AND k.revoked_at IS NULL
  AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
"""


def authenticate_key(text: str) -> Authenticated | None:
    """Return the principal of an API key; None if mistyped, unknown, expired or revoked."""
    key = parse_key(text)
    if key is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(KEY, [key.id])
        row = cursor.fetchone()
    if row is None or not hmac.compare_digest(bytes(row[0]), key.secret_hash):
        return None
    at, allowed_networks, organisation_id, name, role, scopes, pool_ids, worker_id = row[1:]
    principal = Principal(
        kind="worker" if worker_id else "api_key",
        id=str(worker_id or key.id),
        name=name,
        organisation_id=organisation_id,
        role=role,
        scopes=frozenset(scopes),
        pool_ids=None if pool_ids is None else frozenset(pool_ids),
        worker_id=worker_id,
    )
    return Authenticated(principal, at, allowed_networks)


def authenticate_token(text: str) -> Authenticated | None:
    """Return the principal of an OAuth 2.0 access token; None if unknown or expired."""
    checksum = hashlib.sha256(text.encode()).hexdigest()  # tokens are stored as this alone
    row = (
        AccessToken.objects.select_related("application__organisation")
        .filter(token_checksum=checksum)
        .annotate(at=DatabaseNow())
        .first()
    )
    if row is None or row.application is None or row.expires <= row.at:
        return None
    application = row.application
    principal = Principal(
        kind="oauth_application",
        id=str(application.client_id),
        name=application.name,
        organisation_id=application.organisation_id,
        role=application.role,
        scopes=frozenset(row.scope.split()),
        pool_ids=None if application.pool_ids is None else frozenset(application.pool_ids),
    )
    return Authenticated(principal, row.at, application.organisation.allowed_networks)
