"""Find the workers that are eligible for requirements, in ranking order.

For each requirement and each of its pools:

1. Scan the pool's open memberships in ranking order (least loaded, then longest waiting), until
   enough eligible ones are found. The cost follows how rare the abilities are, not the pool's size.
2. Where the first `SCAN_LIMIT` did not hold enough and there are more, the abilities are rare: find
   the workers who have them by the index of abilities, mostly few enough to be sorted. For a
   requirement without abilities the scan continues instead.
3. Do the same for the workers with a preferred skill, since they rank before all others.
4. Add the workers that single tasks prefer, where they are eligible.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.base.queries import load_query
from apps.matching import eligibility
from apps.matching.assignment import EligibleWorker

SCAN_LIMIT = 5_000
"""The index finds workers faster when fewer than one in some hundred memberships is eligible."""

IN_ORDER = """
ORDER BY m.load_share, m.waiting_since, m.worker_id
LIMIT requested.workers + CASE p.offer_mode WHEN 'broadcast' THEN p.broadcast_to ELSE 0 END
"""

SCANNED = f"""
(SELECT * FROM pools_membership m WHERE m.pool_id = p.id AND m.free > 0
 ORDER BY m.load_share, m.waiting_since, m.worker_id
 LIMIT CASE WHEN r.abilities <> '{{}}' THEN {SCAN_LIMIT} END) m
"""

INDEXED = """
(SELECT m.* FROM (
    SELECT w.id FROM pools_worker w WHERE w.organisation_id = r.organisation_id AND {abilities}
    OFFSET 0) able
 JOIN pools_membership m ON m.worker_id = able.id AND m.pool_id = p.id) m
"""
"""OFFSET 0 has PostgreSQL ask the index first, not each membership whether its worker is able."""

WORKER_ABILITIES = "pools_abilities(w.skills, w.skill_levels, w.languages)"
HAS_ALL = f"{WORKER_ABILITIES} @> r.abilities"
HAS_ALL_AND_A_PREFERRED = f"{HAS_ALL} AND {WORKER_ABILITIES} && r.preferred"


def _eligible(*, memberships: str, condition: str) -> str:
    return load_query(
        "apps.matching",
        "eligible_memberships",
        memberships=memberships,
        condition=condition,
        fits=eligibility.FITS,
        has_capacity=eligibility.HAS_CAPACITY,
        offers_in_window=eligibility.OFFERS_IN_WINDOW,
        is_below_offer_limit=eligibility.IS_BELOW_OFFER_LIMIT,
    )


def _ranked(*, abilities: str, condition: str) -> str:
    """Return the first eligible memberships for which `condition` holds.

    `abilities`: the same condition, as the index of abilities is searched by it.
    """
    return load_query(
        "apps.matching",
        "first_eligible_memberships",
        scan=_eligible(memberships=SCANNED, condition=condition),
        indexed=_eligible(memberships=INDEXED.format(abilities=abilities), condition=condition),
        in_order=IN_ORDER,
        scan_limit=str(SCAN_LIMIT),
    )


ELIGIBLE_WORKERS = load_query(
    "apps.matching",
    "eligible_workers",
    units=eligibility.UNITS,
    pool_is_allowed=eligibility.POOL_IS_ALLOWED,
    ranked=_ranked(abilities=HAS_ALL, condition="true"),
    ranked_preferred=_ranked(
        abilities=HAS_ALL_AND_A_PREFERRED, condition="m.abilities && r.preferred"
    ),
    named=_eligible(
        memberships="pools_membership m",
        condition="m.pool_id = p.id AND m.worker_id = ANY (%(preferred_worker_ids)s)",
    ),
)


@dataclass(frozen=True, slots=True)
class Eligible:
    """Hold the eligible workers by requirement.

    `in_several_pools`: the requirements of which a worker is eligible by more pools than one.
    """

    workers: dict[UUID, list[EligibleWorker]]
    in_several_pools: set[UUID]


def find_eligible_workers(
    *,
    limits: Mapping[UUID, int],
    preferred_worker_ids: Sequence[UUID],
    at: datetime,
    compared_in: str | None = None,
) -> Eligible:
    """Return for each requirement up to its limit of eligible workers in each of its pools.

    They come in ranking order, with those of the preferred workers that are eligible. A worker of
    several pools is returned as a member of the first.

    `compared_in`: leave out memberships that opened after that snapshot; None: take all.
    """
    params: dict[str, Any] = {
        "requirement_ids": list(limits),
        "limits": list(limits.values()),
        "preferred_worker_ids": list(preferred_worker_ids),
        "at": at,
        "compared_in": compared_in,
    }
    workers: dict[UUID, dict[UUID, EligibleWorker]] = {requirement: {} for requirement in limits}
    in_several_pools = set()
    with connection.cursor() as cursor:
        cursor.execute(ELIGIBLE_WORKERS, params)
        for requirement, *row in cursor.fetchall():
            worker = EligibleWorker(*row)
            first = workers[requirement].setdefault(worker.worker_id, worker)
            if first.pool_id != worker.pool_id:
                in_several_pools.add(requirement)
    by_requirement = {requirement: list(by_id.values()) for requirement, by_id in workers.items()}
    return Eligible(by_requirement, in_several_pools)
