"""The seats that fit a signature, in the order in which workers are asked.

For each signature and each of its pools:

1. a walk along the pool's open seats (least loaded, then longest waiting) ends when enough that fit
   were found, however many there are;
2. where the first `WALKED` did not hold enough and there are more, what is asked for is rare, and those
   who can do it are found by the index of abilities instead: mostly few enough to be sorted. What asks
   for no ability walks on;
3. the same for those among them who have a preferred skill, since they go before all others;
4. and those whom the tasks want first, if they fit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.matching.assignment import Seat

WALKED = 5_000
"""Whoever fits less often than once in some hundred seats is found faster by the index."""

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

WAS_SEEN = """
(%(seen)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(m.opened_in, %(seen)s::pg_snapshot)
    OR m.opened_in >= pg_snapshot_xmax(pg_current_snapshot()))
"""
"""Whether a seat `m` had opened when seats were compared with what is in vain (see vain.py). One that
was restored from a dump may bear a transaction that this cluster has yet to come to."""

OFFERS_MADE = """
SELECT count(*) FROM (
    SELECT FROM matching_offer o WHERE o.worker_id = m.worker_id
        AND o.offered_at > %(at)s - make_interval(secs => p.offer_window_seconds)
    LIMIT p.offers_per_window) made
"""

WINDOW_ENDS = """
SELECT o.offered_at + make_interval(secs => {pool}.offer_window_seconds) AS ends_at
FROM matching_offer o WHERE o.worker_id = {seat}.worker_id
ORDER BY o.offered_at DESC OFFSET {pool}.offers_per_window - 1 LIMIT 1
"""
"""When a worker who had its pool's offers of a window may be made one more."""

PICK = f"""
SELECT m.worker_id, m.pool_id, p.units, m.free, m.load_share, m.waiting_since, m.rating, m.abilities,
    CASE WHEN p.offers_per_window IS NOT NULL THEN p.offers_per_window - ({OFFERS_MADE}) END AS offers_left
FROM {{seats}}
WHERE m.free >= p.units AND {WAS_SEEN} AND {FITS}
    AND (p.offers_per_window IS NULL OR p.offers_per_window > ({OFFERS_MADE}))
"""
"""Of `seats` of a pool `p`, which it calls `m`, those that fit a signature `r`."""

IN_ORDER = """
ORDER BY m.load_share, m.waiting_since, m.worker_id
LIMIT want.seats + CASE p.offer_mode WHEN 'broadcast' THEN p.broadcast_to ELSE 0 END
"""

FIRST = f"""
(SELECT * FROM pools_membership m WHERE m.pool_id = p.id AND m.free > 0
 ORDER BY m.load_share, m.waiting_since, m.worker_id
 LIMIT CASE WHEN r.abilities <> '{{}}' THEN {WALKED} END) m
"""
"""Of what asks for an ability the first `WALKED` of the pool, of what asks for none all."""

HAS_MORE = f"""
r.abilities <> '{{}}'
AND EXISTS (SELECT FROM pools_membership m WHERE m.pool_id = p.id AND m.free > 0 OFFSET {WALKED})
"""

ABLE = """
(SELECT m.* FROM (
    SELECT w.id FROM pools_worker w WHERE w.organisation_id = r.organisation_id AND {able} OFFSET 0) able
 JOIN pools_membership m ON m.worker_id = able.id AND m.pool_id = p.id) m
"""
"""OFFSET 0: the index of abilities is asked first, not each seat whether its worker is able."""

ABILITIES = "pools_abilities(w.skills, w.skill_levels, w.languages)"
CAN = f"{ABILITIES} @> r.abilities"
CAN_AND_IS_PREFERRED = f"{CAN} AND {ABILITIES} && r.preferred"


def _found(*, able: str, more: str) -> str:
    """Enough seats that fit and that `more` holds for; `able` is what the index is asked for."""
    near = PICK.replace("{seats}", FIRST)
    rare = PICK.replace("{seats}", ABLE.format(able=able))
    return f"""
    (WITH near AS MATERIALIZED ({near} AND {more} {IN_ORDER})
     SELECT * FROM near
     UNION ALL
     (SELECT * FROM ({rare} AND {more} {IN_ORDER}) rare
      WHERE (SELECT count(*) FROM near) < want.seats AND {HAS_MORE}))
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
    SELECT p.*, coalesce((p.costs ->> r.task_type)::int, 1) AS units FROM pools_pool p
    WHERE p.id IN ({POOLS})
) p
CROSS JOIN LATERAL (
    {_found(able=CAN, more="true")}
    UNION ALL
    (SELECT * FROM {_found(able=CAN_AND_IS_PREFERRED, more="m.abilities && r.preferred")} preferring
     WHERE r.preferred <> '{{}}')
    UNION ALL
    ({PICK.replace("{seats}", "pools_membership m")}
     AND m.pool_id = p.id AND m.worker_id = ANY (%(first_choices)s))
) s
JOIN pools_worker w ON w.id = s.worker_id
ORDER BY r.id, s.load_share, s.waiting_since, s.worker_id, s.pool_id
"""


@dataclass(frozen=True, slots=True)
class Found:
    """Seats by signature; `several`: the signatures for which a worker has more seats than the one."""

    seats: dict[UUID, list[Seat]]
    several: set[UUID]


def find_seats(
    *,
    limits: Mapping[UUID, int],
    first_choices: Sequence[UUID],
    at: datetime,
    seen: str | None = None,
) -> Found:
    """Of each signature up to its limit of fitting seats in each pool, the first to ask first, and
    besides those of the `first_choices` that fit. A worker of several pools is asked by the first.

    `seen`: only seats that had opened in that snapshot; None: any.
    """
    asked_for: dict[str, Any] = {
        "signatures": list(limits),
        "limits": list(limits.values()),
        "first_choices": list(first_choices),
        "at": at,
        "seen": seen,
    }
    found: dict[UUID, dict[UUID, Seat]] = {signature: {} for signature in limits}
    several = set()
    with connection.cursor() as cursor:
        cursor.execute(SEATS, asked_for)
        for signature, *row in cursor.fetchall():
            seat = Seat(*row)
            first = found[signature].setdefault(seat.worker_id, seat)
            if first.pool_id != seat.pool_id:
                several.add(signature)
    return Found({one: list(seats.values()) for one, seats in found.items()}, several)
