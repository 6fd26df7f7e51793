"""Say which member is a worker: one person, both hats. Invite people who are workers at once."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.models import Invitation, Member
from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.accounts.selectors import member
from apps.accounts.services import invite, lock_organisation, store_outcome
from apps.base.ids import new_id
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.pools.models import Pool, PoolStatus, Worker, WorkerKind
from apps.pools.services.locks import lock_worker
from apps.pools.services.pools import unusable_pool_faults
from apps.pools.services.workers import join_pools
from biolayer.errors import Fault, InvalidInput, WorkerIsLinked, pointer
from biolayer.requests.organisations import InvitationCreation, InvitedWorker
from biolayer.requests.pools import unheld_levels


@atomic()
def link_worker(*, actor: Principal, member_id: UUID, worker_id: UUID, at: datetime) -> Member:
    """Let a member be a worker, and no other one of the organisation.

    Raise `NotFound`, `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`, and `WorkerIsLinked` where
    the worker is another member, or an agent.
    """
    lock_organisation(actor=actor)
    person = member(actor=actor, member_id=member_id)
    worker = lock_worker(actor=actor, worker_id=worker_id)
    if worker.user_id == person.user_id:
        return person
    if worker.user_id is not None or worker.kind != WorkerKind.HUMAN:
        raise WorkerIsLinked("Choose a human worker that is no other member.")
    _unlink(person)
    Worker.objects.filter(id=worker.id).update(user_id=person.user_id)
    _record(actor, worker_id, at, member_id=str(member_id))
    return person


@atomic()
def unlink_worker(*, actor: Principal, member_id: UUID, at: datetime) -> None:
    """Let a member be no worker. The worker's offers and runs stay.

    Raise `NotFound`, `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`.
    """
    lock_organisation(actor=actor)
    person = member(actor=actor, member_id=member_id)
    for worker_id in _unlink(person):
        _record(actor, worker_id, at, member_id=None)


@atomic()
def invite_person(*, actor: Principal, wanted: InvitationCreation, at: datetime) -> Invitation:
    """Invite a person, who is a worker as soon as they join if `wanted` says so.

    The actor must manage pools for that, and the pools be open and the organisation's. Raise
    `InvalidInput`, and what `apps.accounts.services.invite` raises.
    """
    worker = wanted.worker
    if worker is not None:
        actor.require(Scope.POOLS_MANAGE)
        if faults := list(_faults(actor, worker)):
            raise InvalidInput(faults)
    return invite(
        actor=actor,
        email=wanted.email,
        role=Role(wanted.role),
        worker=None if worker is None else worker.model_dump(mode="json"),
        at=at,
    )


def _faults(actor: Principal, worker: InvitedWorker) -> Iterator[Fault]:
    places = ((pointer("worker", "pool_ids", at), id_) for at, id_ in enumerate(worker.pool_ids))
    yield from unusable_pool_faults(actor, ((place, str(id_)) for place, id_ in places))
    for fault in unheld_levels(worker.model_dump(), skills=worker.skills):
        yield replace(fault, pointer=pointer("worker") + fault.pointer)


def make_invited_worker(
    member: Member, invitation: Invitation, actor: Principal, at: datetime
) -> None:
    """Make a worker of a member who joins, as their invitation says.

    It joins those of the pools that are still open; the invitation and the audit log name the
    others. A worker that the person was before joins them as it is.
    """
    wanted = invitation.worker
    if wanted is None:
        return
    ids = [UUID(text) for text in wanted["pool_ids"]]
    pools = Pool.objects.filter(organisation_id=member.organisation_id, id__in=ids)
    locked = pools.select_for_update(no_key=True).order_by("id")
    open_ids = [pool.id for pool in locked if pool.status == PoolStatus.ACTIVE]
    skipped = sorted(str(id_) for id_ in set(ids).difference(open_ids))
    of_person = Worker.objects.filter(user_id=member.user_id)
    of_person = of_person.filter(organisation_id=member.organisation_id)
    worker = of_person.select_for_update(no_key=True).first()
    action = AuditAction.WORKER_CREATED if worker is None else AuditAction.WORKER_CHANGED
    if worker is None:
        worker = _invited_worker(member, wanted, at)
        worker.save(force_insert=True)
    join_pools(worker, open_ids)
    facts = {"member_id": str(member.id), "pool_ids": sorted(map(str, open_ids))}
    facts |= {"skipped_pool_ids": skipped} if skipped else {}
    subject = ("worker", worker.id)
    write([audit_entry(actor=actor, action=action, subject=subject, at=at, **facts)])
    store_outcome(invitation, {**wanted, "skipped_pool_ids": skipped})
    wake("matching")


def _invited_worker(member: Member, wanted: Mapping[str, Any], at: datetime) -> Worker:
    named = {"name": wanted["name"] or member.user.name or member.user.email.partition("@")[0]}
    others = ("skills", "skill_levels", "languages", "trust_level", "capacity", "time_zone")
    return Worker(
        id=new_id(),
        organisation_id=member.organisation_id,
        user_id=member.user_id,
        waiting_since=at,
        created_at=at,
        **named,
        **{name: wanted[name] for name in others},
    )


def _unlink(person: Member) -> list[UUID]:
    linked = Worker.objects.filter(
        user_id=person.user_id, organisation_id=person.organisation_id
    ).select_for_update(no_key=True)
    worker_ids = [worker.id for worker in linked]
    Worker.objects.filter(id__in=worker_ids).update(user_id=None)
    return worker_ids


def _record(actor: Principal, worker_id: UUID, at: datetime, *, member_id: str | None) -> None:
    subject = ("worker", worker_id)
    action = AuditAction.WORKER_CHANGED
    write([audit_entry(actor=actor, action=action, subject=subject, at=at, member_id=member_id)])
