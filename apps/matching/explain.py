"""Why a task waits, or who was asked: what `GET /v1/tasks/{id}/match` tells.

Every worker of the pools that may be asked is counted once: under the first rule that keeps it out, or
as eligible. So the counts add up to the pool. It looks at the whole pool: this is for people, and
nothing that decides reads it.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count

from apps.accounts.principal import Principal
from apps.matching import candidates
from apps.matching.escalation import ESCALATION, Policy
from apps.matching.models import Offer, OfferStatus
from apps.pools.selectors import escalation_of
from apps.tasks.models import Requirement, Task
from apps.tasks.selectors import task as visible_task
from apps.timers.models import Timer
from biolayer.chain import format_time
from biolayer.lifecycle import Status

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

COUNTS = """
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
SELECT CASE
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
    ELSE 'eligible' END AS rule, count(*)
FROM member m JOIN pools_worker w ON w.id = m.worker_id GROUP BY rule
"""

AHEAD = f"""
SELECT count(*) FROM (
    SELECT FROM tasks_task WHERE status = 'queued' AND organisation_id = %s AND (sort_at, id) < (%s, %s)
    LIMIT {MOST_AHEAD}) ahead
"""


def explained(*, actor: Principal, task_id: UUID, at: datetime) -> dict[str, Any]:
    """Raises `NotFound`, `ScopeMissing`."""
    task = visible_task(actor=actor, task_id=task_id)
    open_offers = [
        _shown(offer)
        for offer in Offer.objects.filter(task_id=task.id, status=OfferStatus.OPEN).order_by("id")
    ]
    counts = _counts(task, at)
    eligible = counts.pop("eligible", 0)
    return {
        "task_id": str(task.id),
        "status": task.status,
        "queue": _queue(task),
        "requirements": _requirements(task),
        "workers": {
            "in_pools": eligible + sum(counts.values()),
            "eligible": eligible,
            "excluded": {rule: counts.get(rule, 0) for rule in RULES},
        },
        "offers": open_offers,
        "past_offers": _past_offers(task),
        "escalation": _escalation(task),
        "next": _next(task, eligible),
    }


def _counts(task: Task, at: datetime) -> dict[str, int]:
    """How many workers each rule keeps out, and how many are `eligible`.

    As the matcher has it: those who were asked before are asked again only when nobody else is left,
    and whoever was asked last not before it has rested.
    """
    asked = candidates.asked(task_ids=[task.id]).get(task.id, [])
    last = candidates.asked_last(asked) if asked else None
    given: dict[str, Any] = {
        "requirement": task.requirement_id,
        "at": at,
        "asked": [one.worker_id for one in asked],
        "rests": last.worker_id if last and last.rests_until > at else None,
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, given)
        counts: dict[str, int] = dict(cursor.fetchall())
    again = counts.pop("asked_before", 0)
    rule = "asked_already" if counts.get("eligible") else "eligible"
    counts[rule] = counts.get(rule, 0) + again
    return counts


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


def _past_offers(task: Task) -> dict[str, int]:
    past = Offer.objects.filter(task_id=task.id).exclude(status=OfferStatus.OPEN)
    return dict(past.values_list("status").annotate(Count("id")).order_by("status"))


def _escalation(task: Task) -> dict[str, Any] | None:
    policy = Policy.of(task.escalation, escalation_of(pool_id=task.pool_id))
    if not policy.steps:
        return None
    timer = Timer.objects.filter(subject_id=task.id, kind=ESCALATION).first()
    return {
        "steps_taken": min(task.escalation_step, len(policy.steps)),
        "steps": len(policy.steps),
        "at_end": policy.at_end,
        "next_at": None if timer is None else format_time(timer.due_at),
    }


NEXT = {
    Status.DRAFT: "It has to be published.",
    Status.CREATED: "It is about to be queued.",
    Status.QUEUED: "It waits for a worker who fits and is free.",
    Status.MATCHED: "It is about to be offered.",
    Status.OFFERED: "Somebody who was asked has to accept before the offers expire.",
}


def _next(task: Task, eligible: int) -> str:
    """What has to happen for the task to go on."""
    if task.status == Status.CREATED and task.gate_count:
        return "What it depends on has to be completed."
    if task.status == Status.QUEUED and eligible:
        return "It is offered as soon as its turn comes."
    return NEXT.get(Status(task.status), "Nobody is looked for.")
