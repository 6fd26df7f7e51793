"""Represent pools, their members, workers and skills."""

from datetime import datetime

from apps.api.v1.representations.values import choice
from apps.matching.queue_stats import PoolCounts
from apps.pools.models import Certification, Membership, Pool, PoolNote, Worker
from biolayer.responses import pools as responses


def pool(row: Pool, counts: PoolCounts) -> responses.Pool:
    """Return a pool with its counts."""
    return responses.Pool(
        pool_id=row.id,
        name=row.name,
        description=row.description,
        status=choice(row.status),
        offer_seconds=row.offer_seconds,
        work_seconds=row.work_seconds,
        offer_mode=choice(row.offer_mode),
        broadcast_to=row.broadcast_to,
        offers_per_window=row.offers_per_window,
        offer_window_seconds=row.offer_window_seconds,
        misses_until_away=row.misses_until_away,
        costs=row.costs,
        escalation=row.escalation or None,
        review_policy=row.review_policy,
        rating_mean=row.rating_mean,
        counts=responses.PoolCounts(
            members=counts.members,
            available_members=counts.available_members,
            queued_tasks=counts.queued_tasks,
            open_offers=counts.open_offers,
        ),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def member(row: Membership) -> responses.Member:
    """Return a worker's membership of a pool."""
    return responses.Member(
        worker_id=row.worker_id,
        name=row.worker.name,
        kind=choice(row.worker.kind),
        presence=choice(row.worker.presence),
        free=row.free,
        load=row.worker.load,
        capacity=row.worker.capacity,
    )


def worker(row: Worker, *, at: datetime) -> responses.Worker:
    """Return a worker as its operator sees it, and as it sees itself."""
    return responses.Worker(
        worker_id=row.id,
        kind=choice(row.kind),
        name=row.name,
        presence=choice(row.presence),
        presence_reason=row.presence_reason or None,
        is_on_shift=row.is_on_shift,
        snoozed_until=row.snoozed_until,
        missed_in_row=row.missed_in_row,
        skills=row.skills,
        skill_levels=row.skill_levels,
        languages=row.languages,
        certifications=[
            _certification(certification, at) for certification in row.certifications.all()
        ],
        trust_level=row.trust_level,
        rating=row.rating_now,
        rating_count=row.rating_count,
        capacity=row.capacity,
        load=row.load,
        hours=row.hours,
        time_zone=row.time_zone,
        waiting_since=row.waiting_since,
        pool_ids=[membership.pool_id for membership in row.memberships.all()],
        created_at=row.created_at,
    )


def note(row: PoolNote) -> responses.PoolNote:
    """Return a note to a pool."""
    return responses.PoolNote(
        note_id=row.id,
        pool_id=row.pool_id,
        text=row.text,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def _certification(row: Certification, at: datetime) -> responses.HeldCertification:
    return responses.HeldCertification(
        code=row.code,
        issuer=row.issuer,
        expires_at=row.expires_at,
        document_url=row.document_url or None,
        is_valid=row.expires_at is None or row.expires_at > at,
    )
