"""Lock pools and workers, in one order everywhere: the pool, then workers by id.

A transaction that writes a pool membership has its worker locked.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.pools import selectors
from apps.pools.models import Pool, Worker
from biolayer.errors import NotFound, PoolNotGranted


def lock_pool(*, actor: Principal, pool_id: UUID) -> Pool:
    """Lock and return a pool that the actor may change. Raise `NotFound`, `ScopeMissing`."""
    actor.require(Scope.POOLS_MANAGE)
    visible = selectors.visible_pools(actor).select_for_update(no_key=True)
    pool = visible.filter(id=pool_id).first()
    if pool is None:
        raise NotFound("pool")
    return pool


LOCK_POOLS = "SELECT id FROM pools_pool WHERE id = ANY (%s) ORDER BY id FOR KEY SHARE SKIP LOCKED"


def lock_pools(*, pool_ids: Collection[UUID]) -> set[UUID]:
    """Lock pools against deletion until commit. Return the ids of those not locked elsewhere."""
    if not pool_ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(LOCK_POOLS, [list(pool_ids)])
        return {row[0] for row in cursor.fetchall()}


def lock_worker(*, actor: Principal, worker_id: UUID, for_deletion: bool = False) -> Worker:
    """Lock and return a worker that the actor may change.

    A worker's traits count in all of its pools, so the actor must be granted each. `for_deletion`:
    no new row can reference the worker meanwhile.

    Raise `NotFound`, `PoolNotGranted`, `ScopeMissing`.
    """
    actor.require(Scope.POOLS_MANAGE)
    visible = selectors.visible_workers(actor).select_for_update(no_key=not for_deletion)
    worker = visible.filter(id=worker_id).first()
    if worker is None:
        raise NotFound("worker")
    if actor.pool_ids is not None:
        others = worker.memberships.exclude(pool_id__in=actor.pool_ids)
        pool_ids = others.values_list("pool_id", flat=True)
        if missing := sorted(map(str, pool_ids)):
            raise PoolNotGranted(
                "The worker is also in pools that are not granted to this credential.",
                missing=missing,
            )
    return worker


def lock_new_member(*, actor: Principal, worker_id: UUID) -> Worker | None:
    """Lock and return a worker to add to a pool; None if the actor may not see it.

    Of two concurrent calls the second one sees the first one's membership.
    """
    visible = selectors.visible_workers(actor).select_for_update(no_key=True)
    return visible.filter(id=worker_id).first()


def lock_members(*, pool_id: UUID) -> None:
    """Lock the workers of a pool until commit: all of its memberships are to be written."""
    workers = Worker.objects.filter(selectors.is_member_of([pool_id])).order_by("id")
    list(workers.select_for_update(no_key=True).values_list("id", flat=True))


def lock_workers_nowait(*, worker_ids: Collection[UUID]) -> None:
    """Lock the workers until commit. Raise `OperationalError` where one is locked elsewhere.

    For timers, which wait for no lock.
    """
    workers = Worker.objects.filter(id__in=worker_ids).order_by("id")
    list(workers.select_for_update(no_key=True, nowait=True).values_list("id", flat=True))


def lock_own_worker(*, actor: Principal) -> Worker:
    """Lock and return the worker that the actor calls for. Raise `NotFound`, `ScopeMissing`."""
    worker = selectors.own_worker_rows(actor).select_for_update(no_key=True).first()
    if worker is None:
        raise NotFound("worker")
    return worker


# PostgreSQL evaluates the condition again on the locked row, so it holds until commit. A row that
# another transaction has locked is skipped: without a wait there is no deadlock.
LOCK_WITH_CAPACITY = """
SELECT w.id
FROM unnest(%s::uuid[], %s::int[]) AS required (id, units)
JOIN pools_worker w ON w.id = required.id
WHERE pools_free(w) >= required.units
ORDER BY w.id FOR NO KEY UPDATE OF w SKIP LOCKED
"""


def lock_workers_with_capacity(units: Mapping[UUID, int]) -> set[UUID]:
    """Lock the workers that have the given units free. Return their ids.

    `reserve_capacity` may follow in the same transaction.
    """
    if not units:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(LOCK_WITH_CAPACITY, [list(units), list(units.values())])
        return {row[0] for row in cursor.fetchall()}
