"""Explain why a task is queued, or to whom it is offered, worker by worker where that is asked.

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
from django.db.models import IntegerField, Subquery, Value
from django.db.models.expressions import RawSQL

from apps.accounts.principal import Principal
from apps.base.queries import fill, load_template
from apps.matching import eligibility, task_queue
from apps.matching.escalation_policy import Policy
from apps.matching.models import Offer, OfferStatus
from apps.pools.changes import AVAILABILITY
from apps.pools.models import Pool
from apps.tasks.models import RUN_HELD, Requirement, Run, Task
from apps.tasks.selectors import task as visible_task
from biolayer.lifecycle import HELD, MATCHING, Status

MAX_AHEAD = 10_000
"""Counting the tasks ahead ends there."""
MAX_JUDGED = 25

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

JUDGED_WORKERS = fill(
    load_template("apps.matching", "judged_workers"),
    columns="{{ columns }}",
    pool_is_allowed=eligibility.POOL_IS_ALLOWED,
    units=eligibility.UNITS,
    unfit=eligibility.UNFIT,
    has_capacity=eligibility.HAS_CAPACITY,
    is_below_offer_limit=eligibility.IS_BELOW_OFFER_LIMIT,
)

# With the earliest moment at which the clock ends the exclusion of a worker.
COUNTED = f"""rule, count(*), min(CASE rule
    WHEN 'asked_already' THEN %(cooldown_ends_at)s::timestamptz
    WHEN 'snoozed' THEN w.snoozed_until
    WHEN 'working_hours' THEN (
        SELECT due_at FROM timers_timer WHERE subject_id = w.id AND kind = %(hours_timer)s)
    WHEN 'offer_limit' THEN {eligibility.WINDOW_ENDS_AT} END)"""
WORKER_COUNTS = fill(JUDGED_WORKERS, columns=COUNTED) + "\nGROUP BY rule"

# The eligible ones first, in ranking order.
JUDGED_BY_NAME = (
    fill(JUDGED_WORKERS, columns="w.id, w.name, rule")
    + """
WHERE strpos(lower(w.name), lower(%(name)s)) > 0
ORDER BY rule NOT IN ('eligible', 'offered_before', 'asked_already'), m.load_share,
    m.waiting_since, w.id
LIMIT %(limit)s"""
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
    # They said that they cannot do the task.
    refusing_worker_ids: Sequence[UUID]


def explain_match(*, actor: Principal, task_id: UUID, at: datetime) -> Explanation:
    """Return what matching does with a task. Raise `NotFound`, `ScopeMissing`."""
    task = visible_task(actor=actor, task_id=task_id)
    offers = list(Offer.objects.filter(task_id=task.id).order_by("id"))
    return explain_task(task=task, offers=offers, at=at)


def explain_task(*, task: Task, offers: Sequence[Offer], at: datetime) -> Explanation:
    """Return what matching does with a task that is not a draft; `offers` are all of its own."""
    assert task.requirement_id is not None
    open_offers = [offer for offer in offers if offer.status == OfferStatus.OPEN]
    closed = Counter(offer.status for offer in offers if offer.status != OfferStatus.OPEN)
    params = _params(task, at, was_offered=bool(closed))
    workers = _workers(params)
    requirement = _requirement(task)
    read = vars(requirement)
    escalation = _escalation(task, read["pool_policy"])
    return Explanation(
        task=task,
        requirement=requirement,
        place=None if read["ahead"] is None else QueuePlace(read["sort_at"], read["ahead"]),
        workers=workers,
        open_offers=open_offers,
        accepted_offer=_accepted(task, offers),
        past_offers=dict(sorted(closed.items())),
        escalation=escalation,
        next_at=_next_at(task, workers, open_offers, escalation),
        refusing_worker_ids=params["refusing_worker_ids"],
    )


@dataclass(frozen=True, slots=True)
class JudgedWorker:
    """Name a worker of the task's pools, and the rule that excludes it; None: it is eligible."""

    id: UUID
    name: str
    rule: str | None


def judged_workers(
    *, actor: Principal, task_id: UUID, name: str, at: datetime
) -> list[JudgedWorker]:
    """Return the workers that a task could be given to by an operator, and why others could not.

    They have `name` in their own; the eligible ones come first, at most `MAX_JUDGED` in all. A
    cooldown does not exclude a worker from an operator's choice. Raise `NotFound`, `ScopeMissing`.
    """
    task = visible_task(actor=actor, task_id=task_id)
    params = {**_params(task, at), "name": name, "limit": MAX_JUDGED}
    with connection.cursor() as cursor:
        cursor.execute(JUDGED_BY_NAME, params)
        rows = cursor.fetchall()
    free = ("eligible", "offered_before", "asked_already")
    return [JudgedWorker(id_, text, None if rule in free else rule) for id_, text, rule in rows]


def _workers(params: Mapping[str, Any]) -> WorkerCounts:
    """Count workers as the matcher decides.

    Workers with a past offer are eligible when no other worker is, and the last of them not before
    its cooldown ends; never those who said that they cannot do the task.
    """
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


def _params(task: Task, at: datetime, *, was_offered: bool = True) -> dict[str, Any]:
    """Return the parameters of a statement on judged workers; without a past offer by no query."""
    past_offers: Sequence[task_queue.PastOffer] = ()
    if was_offered:
        past_offers = task_queue.past_offers(task_ids=[task.id]).get(task.id, ())
    last = task_queue.last_offer(past_offers) if past_offers else None
    cooling = last if last and last.cooldown_ends_at > at else None
    return {
        "requirement_id": task.requirement_id,
        "at": at,
        "past_worker_ids": [offer.worker_id for offer in past_offers],
        "refusing_worker_ids": [offer.worker_id for offer in past_offers if offer.is_refused],
        "cooling_worker_id": cooling and cooling.worker_id,
        "cooldown_ends_at": cooling and cooling.cooldown_ends_at,
        "hours_timer": AVAILABILITY,
    }


def _requirement(task: Task) -> Requirement:
    """Return what the task requires, with its `sort_at` and the tasks `ahead` while it is queued.

    `pool_policy` is the escalation policy of its pool.
    """
    is_queued = task.status == Status.QUEUED and task.sort_at is not None
    ahead: Any = Value(None, output_field=IntegerField())
    if is_queued:
        ahead = RawSQL(AHEAD, [task.organisation_id, task.sort_at, task.id])  # noqa: S611
    assert task.requirement_id is not None
    policy = Pool.objects.filter(id__in=[task.pool_id] if task.pool_id else [])
    rows = Requirement.objects.annotate(
        ahead=ahead, pool_policy=Subquery(policy.values("escalation"))
    )
    row = rows.get(id=task.requirement_id)
    vars(row)["sort_at"] = task.sort_at
    return row


def _accepted(task: Task, offers: Sequence[Offer]) -> Offer | None:
    if task.worker_id is None:
        return None
    accepted = (offer for offer in reversed(offers) if offer.status == OfferStatus.ACCEPTED)
    return next((offer for offer in accepted if offer.worker_id == task.worker_id), None)


def _escalation(task: Task, of_pool: Mapping[str, Any] | None) -> EscalationState | None:
    policy = Policy.of(task.escalation, of_pool)
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
