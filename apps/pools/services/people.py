"""Say which member is a worker: one person, both hats."""

from datetime import datetime
from uuid import UUID

from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.models import Member
from apps.accounts.principal import Principal
from apps.accounts.selectors import member
from apps.accounts.services import lock_organisation
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.pools.models import Worker, WorkerKind
from apps.pools.services.locks import lock_worker
from biolayer.errors import WorkerIsLinked


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
