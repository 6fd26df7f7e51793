"""Read pools and workers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import JSONObject

from apps.accounts.models import Member
from apps.accounts.principal import Principal
from apps.accounts.sandbox_ids import is_of_sandbox, live_id
from apps.accounts.scopes import Scope
from apps.base.clock import DatabaseNow
from apps.pools.models import (
    Certification,
    CertificationClaim,
    Membership,
    NoteDismissal,
    Pool,
    PoolNote,
    PoolStatus,
    Worker,
)
from biolayer.errors import NotFound
from biolayer.reviews import ReviewPolicy

MAX_KNOWN = 200
MAX_NOTES = 10
"""Notes that a worker is shown at once, the newest."""

# How long an offer is open by the task's urgency, where the pool does not say otherwise.
OFFER_SECONDS = {"critical": 30, "high": 60, "normal": 120, "low": 300}


# The guard (see `rows.Insert`) of a new row that names a pool.
NEW_ROWS_POOL_IS_OPEN = """
new.pool_id IS NULL OR EXISTS (
    SELECT FROM pools_pool pool WHERE pool.id = new.pool_id
        AND pool.organisation_id = new.organisation_id AND pool.status = 'active')
"""


# One parameter, however many pools a batch of contracts names.
OPEN_POOLS = """
SELECT id FROM pools_pool WHERE organisation_id = %s AND status = 'active' AND id = ANY (%s)
"""


def usable_pools(*, actor: Principal, pool_ids: Collection[UUID]) -> set[UUID]:
    """Return the pools that the actor may post tasks to: active, own organisation, granted."""
    granted = list(filter(actor.may_use_pool, pool_ids))
    return _open_pools(actor.organisation_id, granted) if granted else set()


def _open_pools(organisation_id: UUID, pool_ids: Collection[UUID]) -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(OPEN_POOLS, [organisation_id, list(pool_ids)])
        return {row[0] for row in cursor.fetchall()}


def nameable_pools(*, actor: Principal, pool_ids: Collection[UUID]) -> set[UUID]:
    """Return the pools that a contract may name: the usable ones, in a sandbox the live ones too.

    `pool_for` says which pool stands for a live one.
    """
    usable = usable_pools(actor=actor, pool_ids=pool_ids)
    if not is_of_sandbox(actor.organisation_id):
        return usable
    return usable | _open_pools(live_id(actor.organisation_id), pool_ids)


def pool_for(*, actor: Principal, named: UUID | None) -> UUID | None:
    """Return the pool that a task is for whose contract names a pool.

    In a sandbox its oldest open pool, that of the simulated workers, stands for an open pool of the
    live organisation. Each other pool is itself.
    """
    if named is None or not is_of_sandbox(actor.organisation_id):
        return named
    if not _open_pools(live_id(actor.organisation_id), [named]):
        return named
    own = Pool.objects.filter(organisation_id=actor.organisation_id, status=PoolStatus.ACTIVE)
    return own.order_by("id").values_list("id", flat=True).first() or named


def pool_escalation(*, pool_id: UUID | None) -> dict[str, Any] | None:
    """Return the pool's escalation policy; None without a pool."""
    if pool_id is None:
        return None
    policy: dict[str, Any] = Pool.objects.values_list("escalation", flat=True).get(id=pool_id)
    return policy


def review_policy(*, pool_id: UUID | None) -> ReviewPolicy | None:
    """Return the pool's review policy; None without one, or without a pool."""
    if pool_id is None:
        return None
    stored = Pool.objects.values_list("review_policy", flat=True).get(id=pool_id)
    return None if stored is None else ReviewPolicy.model_validate(stored)


def offer_duration(pool: Pool, urgency: str) -> timedelta:
    """Return how long the pool's offers of that urgency stay open."""
    return timedelta(seconds=pool.offer_seconds.get(urgency, OFFER_SECONDS[urgency]))


# --- pools ----------------------------------------------------------------------------------------


def visible_pools(actor: Principal) -> "QuerySet[Pool]":
    """Return the organisation's pools that are granted to the actor."""
    rows = Pool.objects.filter(organisation_id=actor.organisation_id)
    return rows if actor.pool_ids is None else rows.filter(id__in=actor.pool_ids)


def pools(*, actor: Principal, scope: Scope = Scope.POOLS_READ) -> "QuerySet[Pool]":
    """Return the pools that the actor may see, newest first. Raise `ScopeMissing`."""
    actor.require(scope)
    return visible_pools(actor).order_by("-id")


def pool(*, actor: Principal, pool_id: UUID, scope: Scope = Scope.POOLS_READ) -> Pool:
    """Return a pool that the actor may see. Raise `NotFound`, `ScopeMissing`."""
    row = pools(actor=actor, scope=scope).filter(id=pool_id).first()
    if row is None:
        raise NotFound("pool")
    return row


def members(*, actor: Principal, pool_id: UUID) -> "QuerySet[Membership]":
    """Return the pool's memberships with their workers, the oldest worker first.

    Raise `NotFound`, `ScopeMissing`.
    """
    visible = pool(actor=actor, pool_id=pool_id)
    memberships = Membership.objects.filter(pool_id=visible.id)
    return memberships.select_related("worker").order_by("worker_id")


# --- workers --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkerFilter:
    """Select workers that match any value of each filter; an empty filter admits all."""

    presences: Sequence[str] = ()
    skills: Sequence[str] = ()
    pool_ids: Sequence[UUID] = ()


def visible_workers(actor: Principal) -> "QuerySet[Worker]":
    """Return the organisation's workers that are in a pool granted to the actor."""
    rows = Worker.objects.filter(organisation_id=actor.organisation_id)
    if actor.pool_ids is None:
        return rows
    return rows.filter(is_member_of(actor.pool_ids))


def is_member_of(pool_ids: Collection[UUID]) -> Exists:
    """Return the condition that a worker is in one of the pools."""
    return Exists(Membership.objects.filter(worker_id=OuterRef("id"), pool_id__in=pool_ids))


def workers(
    *, actor: Principal, filters: WorkerFilter | None = None, scope: Scope = Scope.POOLS_READ
) -> "QuerySet[Worker]":
    """Return the filtered workers that the actor may see, newest first. Raise `ScopeMissing`."""
    actor.require(scope)
    filters = filters or WorkerFilter()
    rows = visible_workers(actor)
    if filters.presences:
        rows = rows.filter(presence__in=filters.presences)
    if filters.skills:
        rows = rows.filter(skills__overlap=list(filters.skills))
    if filters.pool_ids:
        rows = rows.filter(is_member_of(list(filter(actor.may_use_pool, filters.pool_ids))))
    return _with_related(rows, actor).order_by("-id")


def worker(*, actor: Principal, worker_id: UUID, scope: Scope = Scope.POOLS_READ) -> Worker:
    """Return a worker that the actor may see. Raise `NotFound`, `ScopeMissing`."""
    row = workers(actor=actor, scope=scope).filter(id=worker_id).first()
    if row is None:
        raise NotFound("worker")
    return row


@dataclass(frozen=True, slots=True)
class ClaimFilter:
    """Select claims that match any value of each filter; an empty filter admits all."""

    statuses: Sequence[str] = ()
    worker_ids: Sequence[UUID] = ()


def certification_claims(
    *, actor: Principal, filters: ClaimFilter | None = None, scope: Scope = Scope.POOLS_MANAGE
) -> "QuerySet[CertificationClaim]":
    """Return the filtered claims of workers that the actor may see. Raise `ScopeMissing`."""
    actor.require(scope)
    filters = filters or ClaimFilter()
    rows = CertificationClaim.objects.filter(organisation_id=actor.organisation_id)
    if actor.pool_ids is not None:
        rows = rows.filter(worker__in=visible_workers(actor))
    if filters.statuses:
        rows = rows.filter(status__in=filters.statuses)
    if filters.worker_ids:
        rows = rows.filter(worker_id__in=filters.worker_ids)
    return rows.select_related("worker").order_by("-id")


def certification_claim(
    *, actor: Principal, claim_id: UUID, scope: Scope = Scope.POOLS_MANAGE
) -> CertificationClaim:
    """Return a claim of a worker that the actor may see. Raise `NotFound`, `ScopeMissing`."""
    row = certification_claims(actor=actor, scope=scope).filter(id=claim_id).first()
    if row is None:
        raise NotFound("certification claim")
    return row


def linked_certification_claim(*, actor: Principal, claim_id: UUID) -> CertificationClaim:
    """Return the claim that a link leads to. Raise `NotFound`."""
    rows = CertificationClaim.objects.filter(organisation_id=actor.organisation_id)
    row = rows.filter(id=claim_id).first()
    if row is None:
        raise NotFound("certification claim")
    return row


def known_certifications(actor: Principal) -> list[str]:
    """Return codes of certifications that workers of the organisation have, to choose from."""
    rows = Certification.objects.filter(organisation_id=actor.organisation_id)
    return list(rows.order_by("code").values_list("code", flat=True).distinct()[:MAX_KNOWN])


def own_claims(actor: Principal) -> "QuerySet[CertificationClaim]":
    """Return the claims of the actor's worker, newest first. Raise `ScopeMissing`."""
    rows = CertificationClaim.objects.filter(
        worker_id=actor.require_worker(), organisation_id=actor.organisation_id
    )
    return rows.order_by("-id")


def own_worker_rows(actor: Principal) -> "QuerySet[Worker]":
    """Return the row of the worker that the actor calls for. Raise `ScopeMissing`."""
    return Worker.objects.filter(id=actor.require_worker(), organisation_id=actor.organisation_id)


def own_state(actor: Principal) -> Worker:
    """Return the worker that the actor calls for, without its certifications and pools.

    Raise `ScopeMissing`, `NotFound`.
    """
    row = own_worker_rows(actor).first()
    if row is None:
        raise NotFound("worker")
    return row


@dataclass(frozen=True, slots=True)
class OwnNote:
    """Hold a note as a member of its pool is shown it."""

    id: UUID
    text: str
    pool: str
    created_at: datetime


def own_state_and_notes(actor: Principal, *, at: datetime) -> tuple[Worker, list[OwnNote]]:
    """Return what `own_state` does, and the newest notes that the worker is shown.

    One statement reads both. Raise `NotFound`, `ScopeMissing`.
    """
    shown = current_notes(worker_id=OuterRef("id"), at=at).order_by("-id")[:MAX_NOTES]
    facts = JSONObject(id="id", text="text", pool="pool__name", created_at="created_at")
    row = own_worker_rows(actor).annotate(notes=ArraySubquery(shown.values(read=facts))).first()
    if row is None:
        raise NotFound("worker")
    notes = [
        OwnNote(
            UUID(note["id"]),
            note["text"],
            note["pool"],
            datetime.fromisoformat(note["created_at"]),
        )
        for note in vars(row)["notes"]
    ]
    return row, notes


def current_notes(*, worker_id: Any, at: datetime) -> "QuerySet[PoolNote]":
    """Return the notes of a worker's pools that have not expired, and that it has not dismissed."""
    worker = OuterRef(worker_id) if isinstance(worker_id, OuterRef) else worker_id
    pools_of_worker = Membership.objects.filter(worker_id=worker).values("pool_id")
    dismissed = NoteDismissal.objects.filter(note_id=OuterRef("id"), worker_id=worker)
    rows = PoolNote.objects.filter(Q(expires_at=None) | Q(expires_at__gt=at))
    return rows.filter(~Exists(dismissed), pool_id__in=pools_of_worker)


def pool_notes(*, actor: Principal, pool_id: UUID) -> "QuerySet[PoolNote]":
    """Return a pool's notes, expired ones too, newest first. Raise `NotFound`, `ScopeMissing`."""
    visible = pool(actor=actor, pool_id=pool_id)
    return PoolNote.objects.filter(pool_id=visible.id).order_by("-id")


def own_worker(actor: Principal) -> Worker:
    """Return the worker that the actor calls for. Raise `ScopeMissing`, `NotFound`."""
    row = _with_related(own_worker_rows(actor), actor).first()
    if row is None:
        raise NotFound("worker")
    return row


def worker_of_user(*, user_id: UUID, organisation_id: UUID) -> UUID | None:
    """Return the worker that a person is in an organisation; None where they are none."""
    rows = Worker.objects.filter(user_id=user_id, organisation_id=organisation_id)
    return rows.values_list("id", flat=True).first()


def worker_of_member(*, member_id: UUID, organisation_id: UUID) -> UUID | None:
    """Return the worker that a member of an organisation is; None where they are none."""
    return workers_of_member(member_id=member_id, organisation_id=organisation_id).first()


def workers_of_member(*, member_id: UUID, organisation_id: UUID) -> "QuerySet[Worker, UUID]":
    """Return the id of the worker that a member is, if any, as a query to be part of another."""
    users = Member.objects.filter(id=member_id, organisation_id=organisation_id).values("user_id")
    rows = Worker.objects.filter(organisation_id=organisation_id, user_id__in=users)
    return rows.values_list("id", flat=True)


def with_worker_ids(members: "QuerySet[Member]") -> "QuerySet[Member]":
    """Annotate members with the worker that each is (`worker_id`), and the time (`read_at`)."""
    own = Worker.objects.filter(
        user_id=OuterRef("user_id"), organisation_id=OuterRef("organisation_id")
    )
    return members.annotate(worker_id=Subquery(own.values("id")), read_at=DatabaseNow())


STATES = """
SELECT id, md5(concat_ws(' ', user_id, presence, presence_reason, is_on_shift, snoozed_until, hours,
    time_zone, capacity, skills, skill_levels, languages, trust_level, (
        SELECT string_agg(note.id::text, ' ' ORDER BY note.id)
        FROM pools_membership membership JOIN pools_poolnote note USING (pool_id)
        WHERE membership.worker_id = pools_worker.id
            AND (note.expires_at IS NULL OR note.expires_at > now())
            AND NOT EXISTS (
                SELECT FROM pools_notedismissal dismissal
                WHERE dismissal.note_id = note.id AND dismissal.worker_id = pools_worker.id)
    )))
FROM pools_worker WHERE id = ANY (%s)
"""


def worker_fingerprints(worker_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return a hash of what each worker sees of itself that no event tells, by one statement."""
    with connection.cursor() as cursor:
        cursor.execute(STATES, [list(worker_ids)])
        return dict(cursor.fetchall())


def workers_of_users(*, organisation_id: UUID, user_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Return the workers that people are in an organisation: person -> worker."""
    rows = Worker.objects.filter(user_id__in=user_ids, organisation_id=organisation_id)
    return {row.user_id: row.id for row in rows if row.user_id is not None}


def _with_related(workers: "QuerySet[Worker]", actor: Principal) -> "QuerySet[Worker]":
    """Prefetch the workers' certifications, and the memberships that the actor may see."""
    memberships = Membership.objects.order_by("pool_id")
    if actor.pool_ids is not None:
        memberships = memberships.filter(pool_id__in=actor.pool_ids)
    return workers.prefetch_related(
        Prefetch("certifications", Certification.objects.order_by("code")),
        Prefetch("memberships", memberships),
    )
