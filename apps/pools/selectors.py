"""Reading pools and workers, and the shapes in which `/v1` shows them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Prefetch, QuerySet

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.pools.models import Certification, Membership, Pool, PoolStatus, Worker
from biolayer.errors import NotFound

OFFER_SECONDS = {"critical": 30, "high": 60, "normal": 120, "low": 300}
"""How long an offer is open by the task's urgency, where the pool does not say otherwise."""


OPEN_POOL = "SELECT FROM pools_pool WHERE id = %s AND organisation_id = %s AND status = 'active'"


def may_use(*, actor: Principal, pool_id: UUID) -> bool:
    """Whether a task may be posted to the pool: open, of the actor's organisation, and granted."""
    if not actor.may_use_pool(pool_id):
        return False
    with connection.cursor() as cursor:
        cursor.execute(OPEN_POOL, [pool_id, actor.organisation_id])
        return cursor.fetchone() is not None


NEW_ROWS_POOL_IS_OPEN = """
new.pool_id IS NULL OR EXISTS (
    SELECT FROM pools_pool pool WHERE pool.id = new.pool_id
        AND pool.organisation_id = new.organisation_id AND pool.status = 'active')
"""
"""The guard (see `rows.Insert`) of a new row that names a pool."""


LOCK_POOLS = "SELECT id FROM pools_pool WHERE id = ANY (%s) ORDER BY id FOR KEY SHARE SKIP LOCKED"


def lock_pools(*, pool_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the pools that can be pointed at until we commit: the others are held."""
    if not pool_ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(LOCK_POOLS, [list(pool_ids)])
        return {row[0] for row in cursor.fetchall()}


def usable_pools(*, actor: Principal, pool_ids: Collection[UUID]) -> set[UUID]:
    """Those of the pools that the actor may use."""
    if not pool_ids:
        return set()
    mine = visible_pools(actor).filter(id__in=pool_ids, status=PoolStatus.ACTIVE)
    return set(mine.values_list("id", flat=True))


def pool_of(*, pool_id: UUID) -> Pool:
    return Pool.objects.get(id=pool_id)


def escalation_of(*, pool_id: UUID | None) -> dict[str, Any] | None:
    """The pool's escalation policy; None where no pool was asked for."""
    if pool_id is None:
        return None
    policy: dict[str, Any] = Pool.objects.values_list("escalation", flat=True).get(id=pool_id)
    return policy


def offer_limit(pool: Pool, urgency: str) -> timedelta:
    """How long the pool's offers for that urgency stay open."""
    return timedelta(seconds=pool.offer_seconds.get(urgency, OFFER_SECONDS[urgency]))


# --- pools ----------------------------------------------------------------------------------------


def visible_pools(actor: Principal) -> "QuerySet[Pool]":
    """The actor's organisation's, and of them those that were granted."""
    mine = Pool.objects.filter(organisation_id=actor.organisation_id)
    return mine if actor.pool_ids is None else mine.filter(id__in=actor.pool_ids)


def pools(*, actor: Principal, scope: Scope = Scope.POOLS_READ) -> "QuerySet[Pool]":
    """What the actor may see, newest first. Raises `ScopeMissing`."""
    actor.require(scope)
    return visible_pools(actor).order_by("-id")


def pool(*, actor: Principal, pool_id: UUID, scope: Scope = Scope.POOLS_READ) -> Pool:
    """Raises `NotFound`, `ScopeMissing`."""
    found = pools(actor=actor, scope=scope).filter(id=pool_id).first()
    if found is None:
        raise NotFound("pool")
    return found


def members(*, actor: Principal, pool_id: UUID) -> "QuerySet[Membership]":
    """The pool's seats with their workers, the longest enrolled first.

    Raises `NotFound`, `ScopeMissing`.
    """
    found = pool(actor=actor, pool_id=pool_id)
    seats = Membership.objects.filter(pool_id=found.id)
    return seats.select_related("worker").order_by("worker_id")


# --- workers --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """The workers that a list asks for: of each filter any of its values; an empty one admits all."""

    presences: Sequence[str] = ()
    skills: Sequence[str] = ()
    pool_ids: Sequence[UUID] = ()


def visible_workers(actor: Principal) -> "QuerySet[Worker]":
    """The actor's organisation's; where its pools are restricted, those with a seat in one of them."""
    mine = Worker.objects.filter(organisation_id=actor.organisation_id)
    if actor.pool_ids is None:
        return mine
    return mine.filter(has_seat_in(actor.pool_ids))


def has_seat_in(pool_ids: Collection[UUID]) -> Exists:
    return Exists(Membership.objects.filter(worker_id=OuterRef("id"), pool_id__in=pool_ids))


def workers(
    *, actor: Principal, wanted: Wanted | None = None, scope: Scope = Scope.POOLS_READ
) -> "QuerySet[Worker]":
    """What the actor may see of what is wanted, newest first. Raises `ScopeMissing`."""
    actor.require(scope)
    wanted = wanted or Wanted()
    found = visible_workers(actor)
    if wanted.presences:
        found = found.filter(presence__in=wanted.presences)
    if wanted.skills:
        found = found.filter(skills__overlap=list(wanted.skills))
    if wanted.pool_ids:
        found = found.filter(has_seat_in(list(filter(actor.may_use_pool, wanted.pool_ids))))
    return _in_full(found, actor).order_by("-id")


def worker(*, actor: Principal, worker_id: UUID, scope: Scope = Scope.POOLS_READ) -> Worker:
    """Raises `NotFound`, `ScopeMissing`."""
    found = workers(actor=actor, scope=scope).filter(id=worker_id).first()
    if found is None:
        raise NotFound("worker")
    return found


def behind(actor: Principal) -> "QuerySet[Worker]":
    """The row of the worker on whose behalf the actor calls. Raises `ScopeMissing`."""
    return Worker.objects.filter(id=actor.require_worker(), organisation_id=actor.organisation_id)


def worker_behind(actor: Principal) -> Worker:
    """The worker on whose behalf the actor calls. Raises `ScopeMissing`, `NotFound`."""
    worker = _in_full(behind(actor), actor).first()
    if worker is None:
        raise NotFound("worker")
    return worker


def _in_full(workers: "QuerySet[Worker]", actor: Principal) -> "QuerySet[Worker]":
    """Read along what a worker is shown with: certifications, and the pools that the actor may see."""
    seats = Membership.objects.order_by("pool_id")
    if actor.pool_ids is not None:
        seats = seats.filter(pool_id__in=actor.pool_ids)
    return workers.prefetch_related(
        Prefetch("certifications", Certification.objects.order_by("code")),
        Prefetch("memberships", seats),
    )
