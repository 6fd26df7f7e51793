"""Who a credential belongs to, and what time it is: one statement."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F
from oauth2_provider.models import AccessToken

from apps.accounts.keys import parse_key
from apps.accounts.models import ApiKey
from apps.accounts.principal import Principal
from apps.base.clock import DatabaseNow


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A principal, the database's time of the call, and the networks it may come from."""

    principal: Principal
    at: datetime
    allowed_networks: list[str]


def authenticate_key(text: str) -> Authenticated | None:
    """Whom the API key stands for; None for a key that is mistyped, unknown, expired or revoked."""
    key = parse_key(text)
    if key is None:
        return None
    row = (
        ApiKey.objects.filter(id=key.id)
        .annotate(at=DatabaseNow(), networks=F("organisation__allowed_networks"))
        .first()
    )
    if row is None or not hmac.compare_digest(bytes(row.secret_hash), key.secret_hash):
        return None
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= row.at):
        return None
    return Authenticated(_of_key(row), row.at, row.networks)


def _of_key(row: ApiKey) -> Principal:
    works = row.worker_id is not None
    return Principal(
        kind="worker" if works else "api_key",
        id=str(row.worker_id) if works else row.id,
        name=row.name,
        organisation_id=row.organisation_id,
        role=row.role,
        scopes=frozenset(row.scopes),
        pool_ids=None if row.pool_ids is None else frozenset(row.pool_ids),
        worker_id=row.worker_id,
    )


def authenticate_token(text: str) -> Authenticated | None:
    """Whom an OAuth 2.0 access token stands for: its application, inside its organisation."""
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
