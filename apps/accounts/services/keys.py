"""Issue API keys from the server's own commands, and record their use."""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from django.db import OperationalError, connection

from apps.accounts.keys import new_key
from apps.accounts.models import ApiKey
from apps.accounts.sandbox_ids import is_of_sandbox
from apps.accounts.scopes import Role, Scope
from apps.accounts.services.sandboxes import ensure_sandbox
from apps.base.transactions import atomic, is_timeout

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


@atomic()
def issue_key(
    *,
    organisation_id: UUID,
    name: str,
    scopes: Iterable[Scope] = BACKEND_SCOPES,
    role: Role = Role.EDITOR,
    pool_ids: Collection[UUID] | None = None,
    worker_id: UUID | None = None,
    allowed_networks: Collection[str] = (),
    expires_at: datetime | None = None,
    is_test: bool = False,
) -> str:
    """Issue an API key. Return it as text, which is never shown again.

    `is_test`: for the organisation's sandbox, which is created where there is none. Every key of a
    sandbox is a test key. `pool_ids` are always pools of the organisation that the key is for.
    """
    if is_test:
        organisation_id = ensure_sandbox(organisation_id=organisation_id)
    key = new_key(is_test=is_of_sandbox(organisation_id))
    ApiKey.objects.create(
        id=key.id,
        organisation_id=organisation_id,
        name=name,
        role=role,
        secret_hash=key.secret_hash,
        scopes=[scope.value for scope in scopes],
        pool_ids=None if pool_ids is None else list(pool_ids),
        worker_id=worker_id,
        allowed_networks=list(allowed_networks) or None,
        expires_at=expires_at,
    )
    return str(key)


# A transaction that holds the row delays no call: the row is skipped, and the next call tries
# again. The condition is checked once more on the locked row, so that of two calls one writes.
RECORD_USE = """
UPDATE accounts_apikey SET last_used_at = clock_timestamp() WHERE id = (
    SELECT id FROM accounts_apikey
    WHERE id = %s
      AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - INTERVAL '1 minute')
    FOR NO KEY UPDATE SKIP LOCKED
)
"""


def record_key_use(*, secret_id: str) -> None:
    """Write that a secret was used now, unless that was written within the last minute.

    A use that cannot be written within the bounds on waiting is not recorded.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(RECORD_USE, [secret_id])
    except OperationalError as error:
        if not is_timeout(error):
            raise
