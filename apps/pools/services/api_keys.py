"""Create API keys: the pools and the worker that a key names are known here only."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts import services as accounts
from apps.accounts.grants import Grant, ineffective_scopes
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import IssuedKey
from apps.base.transactions import atomic
from apps.pools import selectors
from apps.pools.services.pools import named_pools, unusable_pool_faults
from biolayer.contract import parse
from biolayer.errors import Fault
from biolayer.requests.api_keys import KeyCreation


@atomic()
def create_api_key(*, actor: Principal, document: Any, at: datetime) -> IssuedKey:
    """Create an API key from a document, with at most what the actor has.

    Raise `GrantExceeded`, `InvalidInput` with every fault of the document, `PoolNotGranted`,
    `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.CREDENTIALS_MANAGE)
    creation = parse(KeyCreation, document, now=at)
    grant = Grant(
        scopes=creation.scopes,
        role=creation.role,
        pool_ids=creation.pool_ids,
        worker_id=creation.worker_id,
        allowed_networks=creation.allowed_networks,
        expires_at=creation.expires_at,
    )
    return accounts.grant_key(
        actor=actor,
        name=creation.name,
        grant=grant,
        is_test=creation.mode == "test",
        find_faults=lambda: _faults(actor, grant, document),
        at=at,
    )


def _faults(actor: Principal, grant: Grant, document: Any) -> Iterable[Fault]:
    yield from ineffective_scopes(grant)
    yield from unusable_pool_faults(actor, named_pools(document, "pool_ids"))
    if grant.worker_id is None and Scope.WORK in grant.scopes:
        yield Fault("/worker_id", "required", "is required with the scope `work`")
    if grant.worker_id is not None and not _lock_worker(actor, grant.worker_id):
        yield Fault("/worker_id", "unknown_worker", "is no worker that this credential may see")


def _lock_worker(actor: Principal, worker_id: UUID) -> bool:
    """Lock a worker, so that it is not deleted before the key is stored. Return whether it is there

    The key's foreign key is checked at commit, when it is too late for a fault.
    """
    workers = selectors.visible_workers(actor).filter(id=worker_id)
    return workers.select_for_update(no_key=True).first() is not None
