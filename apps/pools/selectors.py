"""Reading pools and workers."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.pools.models import Pool, Worker
from biolayer import chain
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


def pool_of(*, pool_id: UUID) -> Pool:
    return Pool.objects.get(id=pool_id)


def offer_limit(pool: Pool, urgency: str) -> timedelta:
    """How long the pool's offers for that urgency stay open."""
    return timedelta(seconds=pool.offer_seconds.get(urgency, OFFER_SECONDS[urgency]))


def worker_behind(actor: Principal) -> Worker:
    """The worker on whose behalf the actor calls. Raises `ScopeMissing`, `NotFound`."""
    worker = Worker.objects.filter(
        id=actor.require_worker(), organisation_id=actor.organisation_id
    ).first()
    if worker is None:
        raise NotFound("worker")
    return worker


def profile(*, worker: Worker, at: datetime) -> dict[str, Any]:
    """A worker as it sees itself."""
    return {
        "worker_id": str(worker.id),
        "kind": worker.kind,
        "name": worker.name,
        "presence": worker.presence,
        "skills": worker.skills,
        "certifications": [
            {
                "code": held.code,
                "expires_at": held.expires_at and chain.format_time(held.expires_at),
                "is_valid": held.expires_at is None or held.expires_at > at,
            }
            for held in worker.certifications.order_by("code")
        ],
        "trust_level": worker.trust_level,
        "rating": float(worker.rating),
        "capacity": worker.capacity,
        "load": worker.load,
    }
