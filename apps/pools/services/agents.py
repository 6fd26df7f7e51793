"""Make agents workers, and members of pools, without offering them anything."""

from datetime import datetime
from uuid import UUID

from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base.transactions import atomic
from apps.pools.models import Membership, PoolStatus, Worker, WorkerKind
from apps.pools.services.locks import lock_pool
from biolayer.errors import NotFound, PoolClosed

MAX_CAPACITY = 32_767
"""What the column holds."""


@atomic()
def create_agent(
    *, actor: Principal, worker_id: UUID, name: str, at: datetime, capacity: int = 1
) -> Worker:
    """Create an agent that claims tasks by itself: it is offline, so it gets no offers.

    Without capacity it never gets any. Raise `ScopeMissing`, `RoleTooLow`.
    """
    actor.require(Scope.POOLS_MANAGE)
    worker = Worker(
        id=worker_id,
        organisation_id=actor.organisation_id,
        name=name,
        kind=WorkerKind.AGENT,
        capacity=capacity,
        waiting_since=at,
        created_at=at,
    )
    worker.save(force_insert=True)
    subject = ("worker", worker.id)
    record_action(actor=actor, action=AuditAction.WORKER_CREATED, subject=subject, at=at)
    return worker


def lock_agent(*, organisation_id: UUID, worker_id: UUID) -> Worker:
    """Lock and return the worker of an agent. Raise `NotFound`."""
    agents = Worker.objects.filter(id=worker_id, organisation_id=organisation_id)
    worker = agents.filter(kind=WorkerKind.AGENT).select_for_update(no_key=True).first()
    if worker is None:
        raise NotFound("agent")
    return worker


def ensure_capacity(*, worker: Worker, units: int) -> None:
    """Let a locked agent take at least so many units at once: one for each of its sessions."""
    units = min(units, MAX_CAPACITY)
    if worker.capacity < units:
        Worker.objects.filter(id=worker.id).update(capacity=units)
        worker.capacity = units


def lower_capacity(*, worker: Worker, before: int, units: int) -> None:
    """Let a locked agent take so many units at once: one at least, and never fewer than it has.

    `before` are the units that `ensure_capacity` was last right for. Another capacity was set by an
    operator, and stays. One that an operator set to the same number cannot be told apart.
    """
    kept = max(1, min(units, MAX_CAPACITY), worker.load)
    if worker.capacity == min(before, MAX_CAPACITY) and kept < worker.capacity:
        Worker.objects.filter(id=worker.id).update(capacity=kept)
        worker.capacity = kept


@atomic()
def enrol_agent(*, actor: Principal, pool_id: UUID, worker_id: UUID, at: datetime) -> None:
    """Make an agent a member of a pool, unless it is one.

    Raise `NotFound`, `PoolClosed`, `ScopeMissing`, `RoleTooLow`.
    """
    pool = lock_pool(actor=actor, pool_id=pool_id)
    if pool.status == PoolStatus.CLOSED:
        raise PoolClosed
    lock_agent(organisation_id=actor.organisation_id, worker_id=worker_id)
    _, is_new = Membership.objects.get_or_create(
        organisation_id=pool.organisation_id, pool_id=pool.id, worker_id=worker_id
    )
    if is_new:
        action, subject = AuditAction.POOL_MEMBER_ADDED, ("pool", pool.id)
        record_action(actor=actor, action=action, subject=subject, at=at, worker_id=str(worker_id))
