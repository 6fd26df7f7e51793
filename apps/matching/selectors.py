"""Who may do a task, in what order they are asked, and what offers are open."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.matching.models import Offer, OfferStatus
from apps.tasks.models import Task
from apps.tasks.selectors import briefing
from biolayer.chain import format_time


@dataclass(frozen=True, slots=True)
class Candidate:
    """The worker to ask next, the pool that brought it in, and why it came first."""

    worker_id: UUID
    pool_id: UUID
    load: int
    capacity: int
    waiting_since: datetime
    rating: Decimal

    def why(self) -> dict[str, Any]:
        return {
            "load": self.load,
            "capacity": self.capacity,
            "waiting_since": format_time(self.waiting_since),
            "rating": float(self.rating),
        }


ELIGIBLE = """
SELECT w.id, m.pool_id, w.load, w.capacity, w.waiting_since, w.rating
FROM pools_worker w
JOIN LATERAL (
    SELECT m.pool_id FROM pools_membership m JOIN pools_pool p ON p.id = m.pool_id
    WHERE m.worker_id = w.id AND p.status = 'active'
      AND (%(pool_ids)s::uuid[] IS NULL OR m.pool_id = ANY(%(pool_ids)s))
    ORDER BY m.pool_id LIMIT 1
) m ON true
WHERE w.organisation_id = %(organisation_id)s
  AND w.presence = 'available'
  AND w.load < w.capacity
  AND w.skills @> %(skills)s::varchar[]
  AND w.trust_level >= %(trust_level)s
  AND w.rating >= %(min_rating)s::numeric
  AND NOT EXISTS (
      SELECT FROM unnest(%(certifications)s::varchar[]) AS needed(code)
      WHERE NOT EXISTS (
          SELECT FROM pools_certification c
          WHERE c.worker_id = w.id AND c.code = needed.code
            AND (c.expires_at IS NULL OR c.expires_at > %(at)s)
      )
  )
  AND NOT EXISTS (
      SELECT FROM (
          SELECT worker_id, coalesce(closed_at, offered_at) + (expires_at - offered_at) AS rests_until
          FROM matching_offer o
          WHERE o.task_id = %(task_id)s AND o.status IN ('declined', 'expired')
          ORDER BY offered_at DESC LIMIT 1
      ) asked
      WHERE asked.worker_id = w.id AND asked.rests_until > %(at)s
  )
ORDER BY w.id = %(preferred)s DESC NULLS LAST,
    EXISTS (SELECT FROM matching_offer o
            WHERE o.task_id = %(task_id)s AND o.worker_id = w.id AND o.status <> 'accepted'),
    w.load::float / w.capacity, w.waiting_since, w.id
LIMIT 1 FOR NO KEY UPDATE OF w SKIP LOCKED
"""
"""One worker for one task, locked. Excluded are those who lack a requirement, those who are full,
and whoever was asked last, for as long as that offer was open (so that a lone worker who declined
is not asked in a circle, and not never again). Those not asked yet come first, then the least
loaded, then whoever has waited longest."""


def next_candidate(*, task: Task, at: datetime) -> Candidate | None:
    """The worker to ask for a locked task, locked too; None when nobody is eligible now."""
    with connection.cursor() as cursor:
        cursor.execute(
            ELIGIBLE,
            {
                "organisation_id": task.organisation_id,
                "pool_ids": task.pool_ids,
                "skills": task.skills,
                "certifications": task.certifications,
                "trust_level": task.trust_level,
                "min_rating": task.min_rating,
                "task_id": task.id,
                "preferred": task.preferred_worker_id,
                "at": at,
            },
        )
        row = cursor.fetchone()
    return None if row is None else Candidate(*row)


def open_offers(*, actor: Principal, at: datetime) -> "QuerySet[Offer]":
    """The offers before the actor's worker that can still be accepted, oldest first."""
    return (
        Offer.objects.filter(
            worker_id=actor.require_worker(), status=OfferStatus.OPEN, expires_at__gt=at
        )
        .select_related("task")
        .order_by("offered_at", "id")
    )


def shown_offer(offer: Offer) -> dict[str, Any]:
    """An offer as its worker sees it, with the task it is about."""
    return {
        "offer_id": str(offer.id),
        "status": offer.status,
        "offered_at": format_time(offer.offered_at),
        "expires_at": format_time(offer.expires_at),
        "task": briefing(offer.task),
    }
