"""Explain why a task is queued, or to whom it is offered: for `GET /v1/tasks/{id}/match`.

Every worker of the pools that the task may be offered to is counted once: under the first rule that
excludes it, or as eligible. So the counts add up to the pools. This reads whole pools: it is for
people, and nothing that decides reads it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.base.queries import load_query
from apps.matching import eligibility, task_queue
from apps.matching.escalation_policy import Policy
from apps.matching.models import Offer, OfferStatus
from apps.pools.changes import AVAILABILITY
from apps.pools.selectors import pool_escalation
from apps.tasks.models import RUN_HELD, Requirement, Run, Task
from apps.tasks.selectors import task as visible_task
from biolayer.lifecycle import HELD, MATCHING, Status

MAX_AHEAD = 10_000
"""Counting the tasks ahead ends there."""

RULES = (
    "skills",
    "skill_levels",
    "languages",
    "certifications",
    "trust_level",
    "rating",
    "cannot_do",
    "presence",
    "working_hours",
    "snoozed",
    "capacity",
    "offer_limit",
    "asked_already",
)
"""In the order in which they are checked: what a worker can do counts before its state."""

RULES_OF_STATE = RULES[RULES.index("presence") :]
"""The rules that exclude a worker who meets the requirement, for now."""

WORKER_COUNTS = load_query(
    "apps.matching",
    "worker_counts",
    pool_is_allowed=eligibility.POOL_IS_ALLOWED,
    units=eligibility.UNITS,
    unfit=eligibility.UNFIT,
    has_capacity=eligibility.HAS_CAPACITY,
    is_below_offer_limit=eligibility.IS_BELOW_OFFER_LIMIT,
    window_ends_at=eligibility.WINDOW_ENDS_AT,
)

AHEAD = f"""
SELECT count(*) FROM (
    SELECT FROM tasks_task
    WHERE status = 'queued' AND organisation_id = %s AND (sort_at, id) < (%s, %s)
    LIMIT {MAX_AHEAD}) ahead
"""


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """Count workers: those that each rule excludes, and the eligible ones.

    `next_at`: when the clock ends the first exclusion, as far as that is known.
    """

    excluded: Mapping[str, int]
    eligible: int
    next_at: datetime | None

    @property
    def in_pools(self) -> int:
        """Return the number of all workers in the pools."""
        return self.eligible + sum(self.excluded.values())


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Say where a queued task is in its organisation's queue; at most `MAX_AHEAD` are ahead."""

    sort_at: datetime
    tasks_ahead: int


@dataclass(frozen=True, slots=True)
class EscalationState:
    """Say how far a task is in its escalation policy, and when the next step is due."""

    steps_taken: int
    steps: int
    at_end: str
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Say what matching does with a task.

    `requirement` is what the task asks for after the escalation steps that were taken.
    `accepted_offer` is the offer of the worker who has the task or did it. `past_offers` counts the
    closed offers by status. `next_at` is when the clock changes something first; None: unknown.
    """

    task: Task
    requirement: Requirement
    place: QueuePlace | None
    workers: WorkerCounts
    open_offers: Sequence[Offer]
    accepted_offer: Offer | None
    past_offers: Mapping[str, int]
    escalation: EscalationState | None
    next_at: datetime | None


def explain_match(*, actor: Principal, task_id: UUID, at: datetime) -> Explanation:
    """Return what matching does with a task. Raise `NotFound`, `ScopeMissing`."""
    task = visible_task(actor=actor, task_id=task_id)
    assert task.requirement_id is not None
    offers = list(Offer.objects.filter(task_id=task.id).order_by("id"))
    open_offers = [offer for offer in offers if offer.status == OfferStatus.OPEN]
    closed = Counter(offer.status for offer in offers if offer.status != OfferStatus.OPEN)
    workers = _workers(task, at)
    escalation = _escalation(task)
    return Explanation(
        task=task,
        requirement=Requirement.objects.get(id=task.requirement_id),
        place=_place(task),
        workers=workers,
        open_offers=open_offers,
        accepted_offer=_accepted(task, offers),
        past_offers=dict(sorted(closed.items())),
        escalation=escalation,
        next_at=_next_at(task, workers, open_offers, escalation),
    )


def _workers(task: Task, at: datetime) -> WorkerCounts:
    """Count workers as the matcher decides.

    Workers with a past offer are eligible when no other worker is, and the last of them not before
    its cooldown ends; never those who said that they cannot do the task.
    """
    past_offers = task_queue.past_offers(task_ids=[task.id]).get(task.id, [])
    last = task_queue.last_offer(past_offers) if past_offers else None
    cooling = last if last and last.cooldown_ends_at > at else None
    params: dict[str, Any] = {
        "requirement_id": task.requirement_id,
        "at": at,
        "past_worker_ids": [offer.worker_id for offer in past_offers],
        "refusing_worker_ids": [offer.worker_id for offer in past_offers if offer.is_refused],
        "cooling_worker_id": cooling and cooling.worker_id,
        "cooldown_ends_at": cooling and cooling.cooldown_ends_at,
        "hours_timer": AVAILABILITY,
    }
    with connection.cursor() as cursor:
        cursor.execute(WORKER_COUNTS, params)
        rows = cursor.fetchall()
    counts = {rule: count for rule, count, _ in rows}
    eligible = counts.pop("eligible", 0)
    offered_before = counts.pop("offered_before", 0)
    if eligible:
        counts["asked_already"] = counts.get("asked_already", 0) + offered_before
    ends = [until for _, _, until in rows if until is not None]
    return WorkerCounts(counts, eligible or offered_before, min(ends, default=None))


def _place(task: Task) -> QueuePlace | None:
    if task.status != Status.QUEUED or task.sort_at is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(AHEAD, [task.organisation_id, task.sort_at, task.id])
        (ahead,) = cursor.fetchone()
    return QueuePlace(task.sort_at, ahead)


def _accepted(task: Task, offers: Sequence[Offer]) -> Offer | None:
    if task.worker_id is None:
        return None
    accepted = (offer for offer in reversed(offers) if offer.status == OfferStatus.ACCEPTED)
    return next((offer for offer in accepted if offer.worker_id == task.worker_id), None)


def _escalation(task: Task) -> EscalationState | None:
    policy = Policy.of(task.escalation, pool_escalation(pool_id=task.pool_id))
    if not policy.steps:
        return None
    next_at = None
    if task.status in MATCHING and task.waits_since is not None:
        next_at = policy.next_at(task.escalation_step, task.waits_since)
    steps_taken = min(task.escalation_step, len(policy.steps))
    return EscalationState(steps_taken, len(policy.steps), policy.at_end, next_at)


def _next_at(
    task: Task,
    workers: WorkerCounts,
    open_offers: Sequence[Offer],
    escalation: EscalationState | None,
) -> datetime | None:
    moments: list[datetime | None] = [offer.expires_at for offer in open_offers]
    if escalation is not None:
        moments.append(escalation.next_at)
    if task.status == Status.QUEUED and not workers.eligible:
        moments.append(workers.next_at)
    if task.status in HELD:
        # The run may have ended since the task was read.
        runs = Run.objects.filter(task_id=task.id, status__in=RUN_HELD)
        moments += runs.values_list("lease_until", flat=True)
    return min((moment for moment in moments if moment is not None), default=None)
