"""Workers: enrolled, described, and taken off the books."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.ids import new_id
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.pools import selectors
from apps.pools.models import Certification, Membership, Pool, Presence, Worker, WorkerKind
from apps.pools.services.locks import lock_worker
from apps.pools.services.pools import named_pools, unusable_pools
from apps.pools.services.presence import BY_OPERATOR, followed, stated
from apps.timers.services import clear_timers
from biolayer.contract import Check, dig, parse
from biolayer.errors import Fault, WorkerHasHistory
from biolayer.requests.pools import HeldCertificate, WorkerChange, WorkerCreation, unheld_levels

GIVEN_RATING_COUNTS = 10
"""A rating that a worker brings along weighs as much as so many that it earned here."""


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
) -> Worker:
    """A new worker in `pools`, which must not be empty. `certifications`: code -> expiry or None."""
    worker = Worker(
        organisation_id=next(iter(pools)).organisation_id,
        name=name,
        kind=kind,
        skills=list(skills),
        skill_levels=dict(skill_levels or {}),
        languages=list(languages),
        trust_level=trust_level,
        rating=rating,
        exact_rating=rating or None,
        rating_count=GIVEN_RATING_COUNTS if rating else 0,
        capacity=capacity,
        presence=presence,
    )
    worker.save(force_insert=True)
    _join(worker, [pool.id for pool in pools])
    held = (certifications or {}).items()
    _certify(worker, [Certification(code=code, expires_at=end) for code, end in held])
    wake("matching")
    return worker


@atomic()
def create_worker(*, actor: Principal, document: Any, at: datetime) -> Worker:
    """A new worker, as its operator describes it.

    Raises `InvalidInput` with every fault of the document, `ScopeMissing`.
    """
    actor.require(Scope.POOLS_MANAGE)
    checks = [_level_check(skills=()), _pools_check(actor)]
    wanted = dict(parse(WorkerCreation, document, checks=checks))
    pool_ids, certifications = wanted.pop("pool_ids"), wanted.pop("certifications")
    rating = wanted.pop("rating")
    worker = Worker(
        id=new_id(),
        organisation_id=actor.organisation_id,
        rating=rating or 0,
        exact_rating=rating or None,
        rating_count=0 if rating is None else GIVEN_RATING_COUNTS,
        waiting_since=at,
        created_at=at,
        **wanted,
    )
    for name, value in followed(worker, at).items():
        setattr(worker, name, value)
    worker.save(force_insert=True)
    _join(worker, pool_ids)
    _certify(worker, map(_certification, certifications))
    wake("matching")
    return _seen_again(actor, worker.id)


@atomic()
def update_worker(*, actor: Principal, worker_id: UUID, document: Any, at: datetime) -> Worker:
    """Change what the document names; the rest stays. A skill that is gone takes its level along.

    Raises `InvalidInput`, `NotFound`, `PoolNotGranted`, `ScopeMissing`.
    """
    worker = lock_worker(actor=actor, worker_id=worker_id)
    change = parse(WorkerChange, document, checks=[_level_check(skills=worker.skills)])
    given = change.given()
    if "certifications" in given:
        worker.certifications.all().delete()
        _certify(worker, map(_certification, given.pop("certifications")))
    Worker.objects.filter(id=worker.id).update(**_columns(worker, given, at))
    wake("matching")
    return _seen_again(actor, worker_id)


def _columns(worker: Worker, given: dict[str, Any], at: datetime) -> dict[str, Any]:
    """The columns that a locked worker's change means; where its hours change, its timer is set."""
    values = dict(given)
    if "skills" in given:
        levels = given.get("skill_levels", worker.skill_levels)
        values["skill_levels"] = {
            skill: level for skill, level in levels.items() if skill in given["skills"]
        }
    if "presence" in given:
        values |= stated(given["presence"], by=BY_OPERATOR)
    if given.keys() & {"hours", "time_zone"}:
        worker.hours = given.get("hours", worker.hours)
        worker.time_zone = given.get("time_zone", worker.time_zone)
        values |= followed(worker, at)
    return values


@atomic()
def delete_worker(*, actor: Principal, worker_id: UUID) -> None:
    """Delete a worker that was never offered anything, and the keys that work on its behalf.

    Raises `NotFound`, `PoolNotGranted`, `ScopeMissing`, `WorkerHasHistory`.
    """
    worker = lock_worker(actor=actor, worker_id=worker_id, for_good=True)
    if worker.offers.exists() or worker.runs.exists():
        raise WorkerHasHistory
    write([clear_timers(subject_id=worker.id)])
    worker.delete()


# --- rows -----------------------------------------------------------------------------------------


def _seen_again(actor: Principal, worker_id: UUID) -> Worker:
    """As it is shown after a change."""
    return selectors.worker(actor=actor, worker_id=worker_id, scope=Scope.POOLS_MANAGE)


def _join(worker: Worker, pool_ids: Iterable[UUID]) -> None:
    Membership.objects.bulk_create(
        Membership(organisation_id=worker.organisation_id, pool_id=pool_id, worker=worker)
        for pool_id in dict.fromkeys(pool_ids)
    )


def _certify(worker: Worker, held: Iterable[Certification]) -> None:
    mine = list(held)
    for one in mine:
        one.worker, one.organisation_id = worker, worker.organisation_id
    Certification.objects.bulk_create(mine)


def _certification(given: HeldCertificate) -> Certification:
    return Certification(
        code=given.code,
        issuer=given.issuer,
        expires_at=given.expires_at,
        document_url=given.document_url or "",
    )


# --- faults ---------------------------------------------------------------------------------------


def _level_check(*, skills: Sequence[str]) -> Check:
    return lambda document: unheld_levels(document, skills=skills)


def _pools_check(actor: Principal) -> Check:
    def check(document: Any) -> Iterable[Fault]:
        if actor.pool_ids is not None and not dig(document, "pool_ids"):
            yield Fault("/pool_ids", "required", "must name pools that this credential may use")
        yield from unusable_pools(actor, named_pools(document, "pool_ids"))

    return check
