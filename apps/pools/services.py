"""Founding pools, enrolling workers, presence, and the guarded counter of a worker's load."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.accounts.principal import Principal
from apps.base.rows import Statement
from apps.base.wake import wake
from apps.pools.models import Certification, Membership, Pool, Presence, Worker, WorkerKind
from apps.pools.selectors import worker_behind


def found_pool(
    *, organisation_id: UUID, name: str, offer_seconds: Mapping[str, int] | None = None
) -> Pool:
    return Pool.objects.create(
        organisation_id=organisation_id, name=name, offer_seconds=dict(offer_seconds or {})
    )


@transaction.atomic
def enrol_worker(
    *,
    pools: Collection[Pool],
    name: str,
    kind: WorkerKind = WorkerKind.HUMAN,
    skills: Iterable[str] = (),
    certifications: Mapping[str, datetime | None] | None = None,
    trust_level: int = 0,
    rating: float = 0,
    capacity: int = 1,
    presence: Presence = Presence.OFFLINE,
) -> Worker:
    """A new worker in `pools`, which must not be empty. `certifications`: code -> expiry or None."""
    organisation_id = next(iter(pools)).organisation_id
    worker = Worker.objects.create(
        organisation_id=organisation_id,
        name=name,
        kind=kind,
        skills=list(skills),
        trust_level=trust_level,
        rating=rating,
        capacity=capacity,
        presence=presence,
    )
    Membership.objects.bulk_create(
        Membership(organisation_id=organisation_id, pool=pool, worker=worker) for pool in pools
    )
    Certification.objects.bulk_create(
        Certification(
            organisation_id=organisation_id, worker=worker, code=code, expires_at=expires_at
        )
        for code, expires_at in (certifications or {}).items()
    )
    wake("matching")
    return worker


@transaction.atomic
def set_presence(*, actor: Principal, presence: str) -> Worker:
    """The worker says whether it may be asked. Open offers and held runs go on as they are."""
    worker = worker_behind(actor)
    Worker.objects.filter(id=worker.id).update(presence=presence)
    worker.presence = presence
    wake("matching")
    return worker


def reserve(*, worker_id: UUID) -> Statement:
    """One more task for the worker, as part of the transition that gives it."""
    return Statement(
        "UPDATE pools_worker SET load = load + 1 WHERE id = %s",
        (worker_id,),
    )


def relieve(*, worker_id: UUID, worked_until: datetime | None = None) -> Statement:
    """One task less for the worker; `worked_until` puts it at the end of the waiting line."""
    wake("matching")
    return Statement(
        "UPDATE pools_worker SET load = load - 1,"
        " waiting_since = coalesce(%s::timestamptz, waiting_since) WHERE id = %s",
        (worked_until, worker_id),
    )
