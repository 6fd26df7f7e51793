"""What a matcher looks at: the signatures that wait, their first tasks, and the seats that fit.

Nothing here scans a table, whatever its size:

1. `waiting`: the index of queued tasks is skipped through from signature to signature, so the cost
   follows their number, not the tasks'. Those that are in vain are passed over (vain.py).
2. `first_tasks`: of the first signatures the first tasks, each off the index.
3. `seats`: for each signature a walk along its pools' seats in the order in which workers are asked
   (least loaded, then longest waiting), which ends when enough were found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.matching.assignment import Seat

SIGNATURES_AT_ONCE = 128
LOOKED_AT_IN_FULL_EVERY = "10 minutes"
"""What opens by the clock alone, a window of offers say, wakes nobody who is in vain."""

POOLS = """
SELECT p.id FROM pools_pool p WHERE p.organisation_id = r.organisation_id AND p.status = 'active'
    AND (r.pool_ids IS NULL OR p.id = ANY (r.pool_ids))
"""

FITS = """
m.free > 0 AND m.abilities @> r.abilities AND m.trust_level >= r.trust_level
AND m.rating >= r.min_rating
AND (r.certifications = '{}' OR NOT EXISTS (
    SELECT FROM unnest(r.certifications) AS needed (code) WHERE NOT EXISTS (
        SELECT FROM pools_certification c WHERE c.worker_id = m.worker_id
            AND c.code = needed.code AND (c.expires_at IS NULL OR c.expires_at > %(at)s))))
"""
"""Whether a seat `m` fits a signature `r` and can be given something."""

WAITING = f"""
WITH RECURSIVE head AS (
    (SELECT requirement_id, sort_at FROM tasks_task
     WHERE status = 'queued' AND organisation_id = %(organisation_id)s
     ORDER BY requirement_id, sort_at, id LIMIT 1)
    UNION ALL
    SELECT next.requirement_id, next.sort_at FROM head CROSS JOIN LATERAL (
        SELECT requirement_id, sort_at FROM tasks_task
        WHERE status = 'queued' AND organisation_id = %(organisation_id)s
            AND requirement_id > head.requirement_id
        ORDER BY requirement_id, sort_at, id LIMIT 1) next
)
SELECT r.id, head.sort_at FROM head JOIN tasks_requirement r ON r.id = head.requirement_id
WHERE r.nobody_at IS NULL
    OR r.nobody_at < %(at)s - interval '{LOOKED_AT_IN_FULL_EVERY}'
    OR r.looks_again_at <= %(at)s
ORDER BY head.sort_at, r.id LIMIT {SIGNATURES_AT_ONCE + 1}
"""

FIRST_TASKS = """
SELECT t.* FROM unnest(%(signatures)s::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
    SELECT t.id, t.requirement_id, t.sort_at, t.preferred_worker_id, t.escalation_step > 0
    FROM tasks_task t
    WHERE t.status = 'queued' AND t.organisation_id = %(organisation_id)s
        AND t.requirement_id = wanted.id AND t.sort_at <= coalesce(%(horizon)s, t.sort_at)
    ORDER BY t.sort_at, t.id LIMIT %(limit)s
) t ORDER BY t.sort_at, t.id LIMIT %(limit)s
"""

ASKED = """
SELECT task_id, worker_id, max(coalesce(closed_at, offered_at) + (expires_at - offered_at)) AS rests,
    max(offered_at)
FROM matching_offer WHERE task_id = ANY (%s) AND status IN ('declined', 'expired')
GROUP BY task_id, worker_id
"""
"""Who said no to a task or let its offer lapse, when it was asked last, and until when it rests."""

OFFERS_MADE = """
SELECT count(*) FROM (
    SELECT FROM matching_offer o WHERE o.worker_id = m.worker_id
        AND o.offered_at > %(at)s - make_interval(secs => p.offer_window_seconds)
    LIMIT p.offers_per_window) made
"""
WALK = f"""
SELECT m.worker_id, m.pool_id, p.units, m.free, m.load_share, m.waiting_since, m.rating, m.abilities,
    CASE WHEN p.offers_per_window IS NOT NULL THEN p.offers_per_window - ({OFFERS_MADE}) END AS offers_left
FROM pools_membership m
WHERE m.pool_id = p.id AND m.free >= p.units AND {FITS}
    AND (p.offers_per_window IS NULL OR p.offers_per_window > ({OFFERS_MADE}))
"""
IN_ORDER = """
ORDER BY m.load_share, m.waiting_since, m.worker_id
LIMIT want.seats + CASE p.offer_mode WHEN 'broadcast' THEN p.broadcast_to ELSE 0 END
"""

SEATS = f"""
SELECT r.id, s.worker_id, s.pool_id, s.units, s.free, w.capacity, s.waiting_since, s.rating,
    s.offers_left::int,
    CASE WHEN r.preferred = '{{}}' THEN 0 ELSE (
        SELECT count(*)::float / cardinality(r.preferred) FROM unnest(r.preferred) AS wished (word)
        WHERE wished.word = ANY (s.abilities)) END
FROM unnest(%(signatures)s::uuid[], %(limits)s::int[]) AS want (id, seats)
JOIN tasks_requirement r ON r.id = want.id
CROSS JOIN LATERAL (
    SELECT p.*, coalesce((p.costs ->> r.task_type)::int, 1) AS units
    FROM pools_pool p WHERE p.id IN ({POOLS})
) p
CROSS JOIN LATERAL (
    ({WALK} {IN_ORDER})
    UNION ALL
    ({WALK} AND r.preferred <> '{{}}' AND m.abilities && r.preferred {IN_ORDER})
    UNION ALL
    ({WALK} AND m.worker_id = ANY (%(first_choices)s))
) s
JOIN pools_worker w ON w.id = s.worker_id
ORDER BY r.id, s.load_share, s.waiting_since, s.worker_id, s.pool_id
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The signatures to look at, first in line first; `horizon` is the place of the first that was
    left out: tasks behind it must not overtake it.
    """

    signatures: Sequence[UUID]
    horizon: datetime | None


@dataclass(frozen=True, slots=True)
class QueuedTask:
    task_id: UUID
    signature_id: UUID
    sort_at: datetime
    first_choice: UUID | None
    # Its own policy may ask several at once.
    is_escalated: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A worker that was asked for a task in vain."""

    worker_id: UUID
    rests_until: datetime
    asked_at: datetime


def asked_last(asked: Sequence[Asked]) -> Asked:
    """Who is not asked again before it has rested: nobody is asked twice in a row."""
    return max(asked, key=lambda one: one.asked_at)


def waiting(*, organisation_id: UUID, at: datetime) -> Waiting:
    with connection.cursor() as cursor:
        cursor.execute(WAITING, {"organisation_id": organisation_id, "at": at})
        found = cursor.fetchall()
    horizon = found[SIGNATURES_AT_ONCE][1] if len(found) > SIGNATURES_AT_ONCE else None
    return Waiting([signature for signature, _ in found[:SIGNATURES_AT_ONCE]], horizon)


def first_tasks(*, organisation_id: UUID, waiting: Waiting, limit: int) -> list[QueuedTask]:
    with connection.cursor() as cursor:
        cursor.execute(
            FIRST_TASKS,
            {
                "organisation_id": organisation_id,
                "signatures": list(waiting.signatures),
                "horizon": waiting.horizon,
                "limit": limit,
            },
        )
        return [QueuedTask(*row) for row in cursor.fetchall()]


def asked(*, task_ids: Sequence[UUID]) -> dict[UUID, list[Asked]]:
    found: dict[UUID, list[Asked]] = {}
    with connection.cursor() as cursor:
        cursor.execute(ASKED, [list(task_ids)])
        for task_id, *one in cursor.fetchall():
            found.setdefault(task_id, []).append(Asked(*one))
    return found


def seats(
    *, limits: Mapping[UUID, int], first_choices: Sequence[UUID], at: datetime
) -> dict[UUID, list[Seat]]:
    """Of each signature up to its limit of fitting seats in each pool, the first to ask first, and
    besides those of the `first_choices` that fit.
    """
    found: dict[UUID, dict[UUID, Seat]] = {signature: {} for signature in limits}
    asked_for: dict[str, Any] = {
        "signatures": list(limits),
        "limits": list(limits.values()),
        "first_choices": list(first_choices),
        "at": at,
    }
    with connection.cursor() as cursor:
        cursor.execute(SEATS, asked_for)
        for signature, *row in cursor.fetchall():
            # A worker of several pools is asked by the first of them.
            found[signature].setdefault(row[0], Seat(*row))
    return {signature: list(workers.values()) for signature, workers in found.items()}
