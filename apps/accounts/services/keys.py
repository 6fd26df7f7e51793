"""Issue API keys."""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from apps.accounts.keys import new_key
from apps.accounts.models import ApiKey
from apps.accounts.scopes import Role, Scope

# The default scopes of a product backend's key.
BACKEND_SCOPES = (
    Scope.TASKS_READ,
    Scope.TASKS_CREATE,
    Scope.TASKS_CANCEL,
    Scope.WEBHOOKS_READ,
    Scope.WEBHOOKS_MANAGE,
    Scope.POOLS_READ,
    Scope.POOLS_MANAGE,
    Scope.EVIDENCE_READ,
)


def issue_key(
    *,
    organisation_id: UUID,
    name: str,
    scopes: Iterable[Scope] = BACKEND_SCOPES,
    role: Role = Role.EDITOR,
    pool_ids: Collection[UUID] | None = None,
    worker_id: UUID | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Issue an API key. Return it as text, which is never shown again."""
    key = new_key()
    ApiKey.objects.create(
        id=key.id,
        organisation_id=organisation_id,
        name=name,
        role=role,
        secret_hash=key.secret_hash,
        scopes=[scope.value for scope in scopes],
        pool_ids=None if pool_ids is None else list(pool_ids),
        worker_id=worker_id,
        expires_at=expires_at,
    )
    return str(key)
