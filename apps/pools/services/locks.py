"""Locks, in the one order in which everybody takes them: pool, then workers by id. Whoever writes a
seat holds its worker.
"""

from collections.abc import Collection
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.pools import selectors
from apps.pools.models import Pool, Worker
from biolayer.errors import NotFound, PoolNotGranted


def lock_pool(*, actor: Principal, pool_id: UUID) -> Pool:
    """A pool that the actor may change, locked. Raises `NotFound`, `ScopeMissing`."""
    actor.require(Scope.POOLS_MANAGE)
    mine = selectors.visible_pools(actor).select_for_update(no_key=True)
    pool = mine.filter(id=pool_id).first()
    if pool is None:
        raise NotFound("pool")
    return pool


def lock_worker(*, actor: Principal, worker_id: UUID, for_good: bool = False) -> Worker:
    """A worker that the actor may change, locked: what a worker is counts in all of its pools, so
    the actor must be granted each. `for_good` (it ends) nothing can come to point at it meanwhile.

    Raises `NotFound`, `PoolNotGranted`, `ScopeMissing`.
    """
    actor.require(Scope.POOLS_MANAGE)
    mine = selectors.visible_workers(actor).select_for_update(no_key=not for_good)
    worker = mine.filter(id=worker_id).first()
    if worker is None:
        raise NotFound("worker")
    if actor.pool_ids is not None:
        others = worker.memberships.exclude(pool_id__in=actor.pool_ids)
        if others.exists():
            raise PoolNotGranted("The worker is in pools, too, that this credential is not for.")
    return worker


def lock_members(*, pool_id: UUID) -> None:
    """Hold the workers of a pool until we commit: all of its seats are to be written."""
    workers = Worker.objects.filter(selectors.has_seat_in([pool_id])).order_by("id")
    list(workers.select_for_update(no_key=True).values_list("id", flat=True))


def lock_at_once(*, worker_ids: Collection[UUID]) -> None:
    """Hold the workers until we commit. Raise `OperationalError` where others hold one: for timers,
    which wait for nobody.
    """
    held = Worker.objects.filter(id__in=worker_ids).order_by("id")
    list(held.select_for_update(no_key=True, nowait=True).values_list("id", flat=True))


def lock_own_worker(*, actor: Principal) -> Worker:
    """The worker on whose behalf the actor calls, locked. Raises `NotFound`, `ScopeMissing`."""
    worker = selectors.behind(actor).select_for_update(no_key=True).first()
    if worker is None:
        raise NotFound("worker")
    return worker
