"""Why a task waits, or who was asked: what `GET /v1/tasks/{id}/match` tells.

Every worker of the pools that may be asked is counted once: under the first rule that keeps it out, or
as eligible. So the counts add up to the pool. It looks at the whole pool: this is for people, and
nothing that decides reads it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.matching import candidates
from apps.matching.escalation import Policy
from apps.matching.models import Offer, OfferStatus
from apps.matching.seats import WINDOW_ENDS
from apps.pools.changes import AVAILABILITY
from apps.pools.selectors import pool_escalation
from apps.tasks.models import RUN_HELD, Requirement, Run, Task
from apps.tasks.selectors import task as visible_task
from biolayer.lifecycle import HELD, Status
from biolayer.times import format_time

MOST_AHEAD = 10_000
"""Whoever has more tasks before it is told so many."""

RULES = (
    "skills",
    "skill_levels",
    "languages",
    "certifications",
    "trust_level",
    "rating",
    "presence",
    "working_hours",
    "snoozed",
    "capacity",
    "offer_limit",
    "asked_already",
)
"""In the order in which they are looked at: what a worker is comes before what it does just now."""

WHY_NOT_NOW = {
    "presence": "not available",
    "working_hours": "outside working hours",
    "snoozed": "snoozed",
    "capacity": "without free capacity",
    "offer_limit": "at the limit of offers",
    "asked_already": "asked before",
}
JUST_NOW = RULES[RULES.index("presence") :]
ASKING = (Status.QUEUED, Status.MATCHED, Status.OFFERED)

COUNTS = f"""
WITH member AS MATERIALIZED (
    SELECT DISTINCT ON (m.worker_id) m.worker_id, m.abilities, m.trust_level, m.rating,
        coalesce((p.costs ->> r.task_type)::int, 1) AS units, p.offers_per_window,
        p.offer_window_seconds, r.abilities AS wanted, r.certifications,
        r.trust_level AS least_trust, r.min_rating
    FROM tasks_requirement r JOIN pools_pool p ON p.organisation_id = r.organisation_id
        AND p.status = 'active' AND (r.pool_ids IS NULL OR p.id = ANY (r.pool_ids))
    JOIN pools_membership m ON m.pool_id = p.id
    WHERE r.id = %(requirement)s ORDER BY m.worker_id, m.pool_id
)
SELECT rule, count(*), min(CASE rule
    WHEN 'asked_already' THEN %(rests_until)s::timestamptz
    WHEN 'snoozed' THEN snoozed_until
    WHEN 'working_hours' THEN (
        SELECT due_at FROM timers_timer WHERE subject_id = worker_id AND kind = %(hours)s)
    WHEN 'offer_limit' THEN ({WINDOW_ENDS.format(seat="judged", pool="judged")}) END) AS until
FROM (
    SELECT m.worker_id, m.offers_per_window, m.offer_window_seconds, w.snoozed_until, CASE
        WHEN NOT m.abilities @> ARRAY(SELECT split_part(word, ':', 1)::varchar FROM unnest(m.wanted) AS word
                                      WHERE word NOT LIKE '@%%') THEN 'skills'
        WHEN NOT m.abilities @> ARRAY(SELECT word FROM unnest(m.wanted) AS word
                                      WHERE word NOT LIKE '@%%') THEN 'skill_levels'
        WHEN NOT m.abilities @> m.wanted THEN 'languages'
        WHEN EXISTS (
            SELECT FROM unnest(m.certifications) AS needed (code) WHERE NOT EXISTS (
                SELECT FROM pools_certification c WHERE c.worker_id = m.worker_id
                    AND c.code = needed.code AND (c.expires_at IS NULL OR c.expires_at > %(at)s)))
            THEN 'certifications'
        WHEN m.trust_level < m.least_trust THEN 'trust_level'
        WHEN m.rating < m.min_rating THEN 'rating'
        WHEN w.presence <> 'available' THEN 'presence'
        WHEN NOT w.is_on_shift THEN 'working_hours'
        WHEN w.snoozed_until IS NOT NULL THEN 'snoozed'
        WHEN w.capacity - w.load < m.units THEN 'capacity'
        WHEN m.offers_per_window <= (
            SELECT count(*) FROM matching_offer o WHERE o.worker_id = m.worker_id
                AND o.offered_at > %(at)s - make_interval(secs => m.offer_window_seconds))
            THEN 'offer_limit'
        WHEN w.id = %(rests)s THEN 'asked_already'
        WHEN w.id = ANY (%(asked)s::uuid[]) THEN 'asked_before'
        ELSE 'eligible' END AS rule
    FROM member m JOIN pools_worker w ON w.id = m.worker_id
) judged GROUP BY rule
"""
"""Of each rule how many it keeps out, and when the first of them may be asked, if that is known."""

AHEAD = f"""
SELECT count(*) FROM (
    SELECT FROM tasks_task WHERE status = 'queued' AND organisation_id = %s AND (sort_at, id) < (%s, %s)
    LIMIT {MOST_AHEAD}) ahead
"""


@dataclass(frozen=True, slots=True)
class Workers:
    """How many workers each rule keeps out, how many are eligible, and when the first of those who are
    kept out by the clock may be asked.
    """

    excluded: dict[str, int]
    eligible: int
    next_at: datetime | None

    @property
    def in_pools(self) -> int:
        return self.eligible + sum(self.excluded.values())

    def shown(self) -> dict[str, Any]:
        return {
            "in_pools": self.in_pools,
            "eligible": self.eligible,
            "excluded": {rule: self.excluded.get(rule, 0) for rule in RULES},
        }


def explained(*, actor: Principal, task_id: UUID, at: datetime) -> dict[str, Any]:
    """Raises `NotFound`, `ScopeMissing`."""
    task = visible_task(actor=actor, task_id=task_id)
    offers = list(Offer.objects.filter(task_id=task.id).order_by("id"))
    open_offers = [offer for offer in offers if offer.status == OfferStatus.OPEN]
    workers = _workers(task, at)
    policy = Policy.of(task.escalation, pool_escalation(pool_id=task.pool_id))
    step_at = None
    if task.status in ASKING and task.waits_since is not None:
        step_at = policy.next_at(task.escalation_step, task.waits_since)
    next_at = _next_at(task, workers, open_offers, step_at)
    taken = _taken(task, offers)
    return {
        "task_id": str(task.id),
        "status": task.status,
        "queue": _queue(task),
        "requirements": _requirements(task),
        "workers": workers.shown(),
        "offers": [_shown(offer) for offer in open_offers],
        "taken": None if taken is None else _shown(taken),
        "past_offers": dict(
            sorted(Counter(one.status for one in offers if one.status != OfferStatus.OPEN).items())
        ),
        "escalation": _escalation(task, policy, step_at),
        "next": _next(task, workers),
        "next_at": None if next_at is None else format_time(next_at),
    }


def _workers(task: Task, at: datetime) -> Workers:
    """As the matcher has it: those who were asked before are asked again only when nobody else is left,
    and whoever was asked last not before it has rested.
    """
    asked = candidates.asked(task_ids=[task.id]).get(task.id, [])
    last = candidates.asked_last(asked) if asked else None
    rests = last if last and last.rests_until > at else None
    given: dict[str, Any] = {
        "requirement": task.requirement_id,
        "at": at,
        "asked": [one.worker_id for one in asked],
        "rests": rests and rests.worker_id,
        "rests_until": rests and rests.rests_until,
        "hours": AVAILABILITY,
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, given)
        found = cursor.fetchall()
    counts = {rule: count for rule, count, _ in found}
    eligible = counts.pop("eligible", 0)
    again = counts.pop("asked_before", 0)
    if eligible:
        counts["asked_already"] = counts.get("asked_already", 0) + again
    untils = [until for _, _, until in found if until is not None]
    return Workers(counts, eligible or again, min(untils, default=None))


def _queue(task: Task) -> dict[str, Any] | None:
    """Its place among what its organisation has queued."""
    if task.status != Status.QUEUED or task.sort_at is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(AHEAD, [task.organisation_id, task.sort_at, task.id])
        (ahead,) = cursor.fetchone()
    return {"sort_at": format_time(task.sort_at), "tasks_ahead": ahead}


def _requirements(task: Task) -> dict[str, Any]:
    """What is asked for now, after the escalation steps that were taken."""
    assert task.requirement_id is not None
    asked = Requirement.objects.get(id=task.requirement_id)
    return {
        "pool_ids": None
        if asked.pool_ids is None
        else [str(pool_id) for pool_id in asked.pool_ids],
        "abilities": asked.abilities,
        "preferred": asked.preferred,
        "certifications": asked.certifications,
        "trust_level": asked.trust_level,
        "min_rating": asked.min_rating,
    }


def _shown(offer: Offer) -> dict[str, Any]:
    return {
        "offer_id": str(offer.id),
        "worker_id": str(offer.worker_id),
        "pool_id": str(offer.pool_id),
        "offered_at": format_time(offer.offered_at),
        "expires_at": format_time(offer.expires_at),
        "why": offer.why,
    }


def _taken(task: Task, offers: Sequence[Offer]) -> Offer | None:
    """The offer by which whoever holds the task, or did it, came to it."""
    if task.worker_id is None:
        return None
    accepted = (one for one in reversed(offers) if one.status == OfferStatus.ACCEPTED)
    return next((one for one in accepted if one.worker_id == task.worker_id), None)


def _escalation(task: Task, policy: Policy, step_at: datetime | None) -> dict[str, Any] | None:
    if not policy.steps:
        return None
    return {
        "steps_taken": min(task.escalation_step, len(policy.steps)),
        "steps": len(policy.steps),
        "at_end": policy.at_end,
        "next_at": None if step_at is None else format_time(step_at),
    }


NEXT = {
    Status.DRAFT: "It has to be published.",
    Status.CREATED: "It is about to be queued.",
    Status.MATCHED: "It is about to be offered.",
    Status.OFFERED: "Somebody who was asked has to accept before the offers expire.",
    Status.ACCEPTED: "Its worker has to start before the lease ends.",
    Status.STARTED: "Its worker has to submit before the lease ends.",
    Status.SUBMITTED: "What was submitted is verified.",
    Status.VERIFIED: "It is about to be completed.",
}


def _next(task: Task, workers: Workers) -> str:
    """What has to happen for the task to go on."""
    if task.status == Status.CREATED and task.gate_count:
        return "What it depends on has to be completed."
    if task.status == Status.QUEUED:
        return _next_of_queued(workers)
    return NEXT.get(Status(task.status), "It has ended: nobody is looked for.")


def _next_of_queued(workers: Workers) -> str:
    if workers.eligible:
        return "It is offered as soon as its turn comes."
    if not workers.in_pools:
        return "There is nobody in an open pool that may be asked."
    busy = {rule: workers.excluded[rule] for rule in JUST_NOW if workers.excluded.get(rule)}
    if not busy:
        return "Nobody in the pools brings what it asks for."
    count = sum(busy.values())
    fit = "One worker fits; it cannot" if count == 1 else f"{count} workers fit; none of them can"
    reasons = ", ".join(f"{number} {WHY_NOT_NOW[rule]}" for rule, number in busy.items())
    return f"{fit} be offered it now: {reasons}."


def _next_at(
    task: Task, workers: Workers, open_offers: Sequence[Offer], step_at: datetime | None
) -> datetime | None:
    """When the first thing happens that the clock brings."""
    coming = [step_at, *(offer.expires_at for offer in open_offers)]
    if task.status == Status.QUEUED and not workers.eligible:
        coming.append(workers.next_at)
    if task.status in HELD:
        # It may have moved on since it was read.
        leases = Run.objects.filter(task_id=task.id, status__in=RUN_HELD)
        coming += leases.values_list("lease_until", flat=True)
    return min((one for one in coming if one is not None), default=None)
