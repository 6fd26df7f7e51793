"""Founding pools, enrolling workers, presence, and the guarded counter of a worker's load."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.accounts.principal import Principal
from apps.base.rows import Statement
from apps.base.wake import wake
from apps.pools.models import Certification, Membership, Pool, Presence, Worker, WorkerKind
from apps.pools.selectors import OFFER_SECONDS, worker_behind
from biolayer.errors import Fault, InvalidInput


def found_pool(
    *, organisation_id: UUID, name: str, offer_seconds: Mapping[str, int] | None = None
) -> Pool:
    """A new pool. `offer_seconds`: urgency -> 1 to 86,400 s; raises `InvalidInput` otherwise."""
    limits = dict(offer_seconds or {})
    faults = [
        Fault(f"/offer_seconds/{urgency}", "out_of_range", "must be 1 to 86400 for an urgency")
        for urgency, seconds in limits.items()
        if urgency not in OFFER_SECONDS or type(seconds) is not int or not 1 <= seconds <= 86_400
    ]
    if faults:
        raise InvalidInput(faults)
    return Pool.objects.create(organisation_id=organisation_id, name=name, offer_seconds=limits)


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
    return Statement(
        "UPDATE pools_worker SET load = load - 1,"
        " waiting_since = coalesce(%s::timestamptz, waiting_since) WHERE id = %s",
        (worked_until, worker_id),
    )
