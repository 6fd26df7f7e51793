"""Create, change and delete workers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import ProtectedError

from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base.ids import new_id
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.pools import selectors
from apps.pools.models import (
    Certification,
    ClaimStatus,
    Membership,
    Pool,
    Presence,
    Worker,
    WorkerKind,
)
from apps.pools.services.certification_claims import delete_claims
from apps.pools.services.locks import lock_worker
from apps.pools.services.pools import named_pools, unusable_pool_faults
from apps.pools.services.presence import BY_OPERATOR, presence_columns, update_availability
from apps.timers.changes import timer_deletion
from biolayer.contract import Check, dig, parse
from biolayer.errors import Fault, WorkerHasHistory
from biolayer.requests.pools import HeldCertificate, WorkerChange, WorkerCreation, unheld_levels

# An initial rating counts as this many ratings.
INITIAL_RATING_COUNT = 10


@atomic()
def provision_worker(
    *,
    pools: Collection[Pool],
    name: str,
    kind: WorkerKind = WorkerKind.HUMAN,
    skills: Iterable[str] = (),
    skill_levels: Mapping[str, int] | None = None,
    languages: Iterable[str] = (),
    certifications: Mapping[str, datetime | None] | None = None,
    trust_level: int = 0,
    rating: float = 0,
    capacity: int = 1,
    presence: Presence = Presence.OFFLINE,
    worker_id: UUID | None = None,
) -> Worker:
    """Create a worker in `pools`, not empty. `certifications`: code -> expiry or None."""
    worker = Worker(
        id=worker_id or new_id(),
        organisation_id=next(iter(pools)).organisation_id,
        name=name,
        kind=kind,
        skills=list(skills),
        skill_levels=dict(skill_levels or {}),
        languages=list(languages),
        trust_level=trust_level,
        rating=rating,
        exact_rating=rating or None,
        rating_count=INITIAL_RATING_COUNT if rating else 0,
        capacity=capacity,
        presence=presence,
    )
    worker.save(force_insert=True)
    join_pools(worker, [pool.id for pool in pools])
    _certify(
        worker,
        [Certification(code=code, expires_at=end) for code, end in (certifications or {}).items()],
    )
    wake("matching")
    return worker


@atomic()
def create_worker(*, actor: Principal, document: Any, at: datetime) -> Worker:
    """Create a worker from a document.

    Raise `InvalidInput` with every fault of the document, `ScopeMissing`.
    """
    actor.require(Scope.POOLS_MANAGE)
    checks = [_level_check(skills=()), _pools_check(actor)]
    values = dict(parse(WorkerCreation, document, checks=checks))
    pool_ids, certifications = values.pop("pool_ids"), values.pop("certifications")
    rating = values.pop("rating")
    worker = Worker(
        id=new_id(),
        organisation_id=actor.organisation_id,
        rating=rating or 0,
        exact_rating=rating or None,
        rating_count=0 if rating is None else INITIAL_RATING_COUNT,
        waiting_since=at,
        created_at=at,
        **values,
    )
    for name, value in update_availability(worker, at).items():
        setattr(worker, name, value)
    worker.save(force_insert=True)
    join_pools(worker, pool_ids)
    _certify(worker, map(_certification, certifications))
    subject = ("worker", worker.id)
    record_action(actor=actor, action=AuditAction.WORKER_CREATED, subject=subject, at=at)
    wake("matching")
    return _reload(actor, worker.id)


@atomic()
def update_worker(*, actor: Principal, worker_id: UUID, document: Any, at: datetime) -> Worker:
    """Change what the document names; the rest stays. A removed skill loses its level.

    Raise `InvalidInput`, `NotFound`, `PoolNotGranted`, `ScopeMissing`.
    """
    worker = lock_worker(actor=actor, worker_id=worker_id)
    change = parse(WorkerChange, document, checks=[_level_check(skills=worker.skills)])
    changes = change.sent_fields()
    if changes:
        record_action(
            actor=actor,
            action=AuditAction.WORKER_CHANGED,
            subject=("worker", worker.id),
            at=at,
            fields=sorted(changes),
        )
    if "certifications" in changes:
        worker.certifications.all().delete()
        held = [_certification(given) for given in changes.pop("certifications")]
        _certify(worker, held)
        ended = worker.claims.filter(status=ClaimStatus.CONFIRMED)
        delete_claims(ended.exclude(code__in=[row.code for row in held]), at=at)
    Worker.objects.filter(id=worker.id).update(**_columns(worker, changes, at))
    wake("matching")
    return _reload(actor, worker_id)


def _columns(worker: Worker, changes: dict[str, Any], at: datetime) -> dict[str, Any]:
    """Return the columns of a locked worker's change; where its hours change, set its timer."""
    values = dict(changes)
    if "skills" in changes:
        levels = changes.get("skill_levels", worker.skill_levels)
        values["skill_levels"] = {
            skill: level for skill, level in levels.items() if skill in changes["skills"]
        }
    if "presence" in changes:
        values |= presence_columns(changes["presence"], reason=BY_OPERATOR)
    if changes.keys() & {"hours", "time_zone"}:
        worker.hours = changes.get("hours", worker.hours)
        worker.time_zone = changes.get("time_zone", worker.time_zone)
        values |= update_availability(worker, at)
    return values


@atomic()
def delete_worker(*, actor: Principal, worker_id: UUID, at: datetime) -> None:
    """Delete a worker that was never offered a task and never reviewed one, and its keys.

    Raise `NotFound`, `PoolNotGranted`, `ScopeMissing`, `WorkerHasHistory`.
    """
    worker = lock_worker(actor=actor, worker_id=worker_id, for_deletion=True)
    decided = (worker.reviews_given, worker.appeal_decisions, worker.secondlook_decisions)
    if any(history.exists() for history in (worker.offers, worker.runs, *decided)):
        raise WorkerHasHistory
    write([timer_deletion(subject_id=worker.id)])
    delete_claims(worker.claims.all(), at=at)
    subject = ("worker", worker.id)
    record_action(actor=actor, action=AuditAction.WORKER_DELETED, subject=subject, at=at)
    try:
        worker.delete()
    except ProtectedError as error:  # An agent claims without offers: it may have returned all.
        raise WorkerHasHistory from error


# --- rows -----------------------------------------------------------------------------------------


def _reload(actor: Principal, worker_id: UUID) -> Worker:
    """Return a changed worker as it is now stored."""
    return selectors.worker(actor=actor, worker_id=worker_id, scope=Scope.POOLS_MANAGE)


def join_pools(worker: Worker, pool_ids: Iterable[UUID]) -> None:
    """Make a new or locked worker a member of pools."""
    Membership.objects.bulk_create(
        (
            Membership(organisation_id=worker.organisation_id, pool_id=pool_id, worker=worker)
            for pool_id in dict.fromkeys(pool_ids)
        ),
        ignore_conflicts=True,
    )


def _certify(worker: Worker, certifications: Iterable[Certification]) -> None:
    rows = list(certifications)
    for row in rows:
        row.worker, row.organisation_id = worker, worker.organisation_id
    Certification.objects.bulk_create(rows)


def _certification(certificate: HeldCertificate) -> Certification:
    return Certification(
        code=certificate.code,
        issuer=certificate.issuer,
        expires_at=certificate.expires_at,
        document_url=certificate.document_url or "",
    )


# --- faults ---------------------------------------------------------------------------------------


def _level_check(*, skills: Sequence[str]) -> Check:
    return lambda document: unheld_levels(document, skills=skills)


def _pools_check(actor: Principal) -> Check:
    def check(document: Any) -> Iterable[Fault]:
        if actor.pool_ids is not None and not dig(document, "pool_ids"):
            yield Fault("/pool_ids", "required", "must name pools that this credential may use")
        yield from unusable_pool_faults(actor, named_pools(document, "pool_ids"))

    return check
