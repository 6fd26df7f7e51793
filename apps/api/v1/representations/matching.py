"""Represent how a task is matched, and what a change of a pool would do to its queue."""

from collections.abc import Mapping
from typing import Any

from apps.api.v1.representations.tasks import open_review
from apps.api.v1.representations.values import choice
from apps.matching.explain import RULES, RULES_OF_STATE, Explanation, WorkerCounts
from apps.matching.models import Offer
from apps.matching.services.dry_run import DryRun, Outlook
from biolayer.lifecycle import Status
from biolayer.responses import matching as responses

NEXT = {
    Status.DRAFT: "The task has to be published.",
    Status.CREATED: "It is queued within moments.",
    Status.MATCHED: "It is offered within moments.",
    Status.OFFERED: "A worker has to accept before the offers expire.",
    Status.ACCEPTED: "Its worker has to start before the lease ends.",
    Status.STARTED: "Its worker has to submit before the lease ends.",
    Status.SUBMITTED: "The submission has to be verified.",
    Status.VERIFIED: "It is completed within moments.",
}

EXCLUDED_NOW = {
    "presence": "not available",
    "working_hours": "outside working hours",
    "snoozed": "snoozed",
    "capacity": "without free capacity",
    "offer_limit": "at the limit of offers",
    "asked_already": "offered it before",
}
assert EXCLUDED_NOW.keys() == {*RULES_OF_STATE}, "a rule without a text"


def match(explanation: Explanation) -> responses.Match:
    """Return how a task is matched."""
    task, accepted = explanation.task, explanation.accepted_offer
    return responses.Match(
        task_id=task.id,
        status=task.status,
        queue=_queue(explanation),
        requirements=_requirements(explanation),
        workers=_workers(explanation.workers),
        offers=[_offer(offer) for offer in explanation.open_offers],
        taken=None if accepted is None else _offer(accepted),
        past_offers=dict(explanation.past_offers),
        escalation=_escalation(explanation),
        review=open_review(explanation.task),
        next=_next(explanation),
        next_at=explanation.next_at or explanation.task.review_due_at,
    )


def _queue(explanation: Explanation) -> responses.MatchQueue | None:
    place = explanation.place
    if place is None:
        return None
    return responses.MatchQueue(sort_at=place.sort_at, tasks_ahead=place.tasks_ahead)


def _requirements(explanation: Explanation) -> responses.MatchRequirements:
    row = explanation.requirement
    return responses.MatchRequirements(
        pool_ids=row.pool_ids,
        abilities=row.abilities,
        preferred=row.preferred,
        certifications=row.certifications,
        trust_level=row.trust_level,
        min_rating=row.min_rating,
    )


def _workers(workers: WorkerCounts) -> responses.MatchWorkers:
    excluded: Mapping[str, Any] = {rule: workers.excluded.get(rule, 0) for rule in RULES}
    return responses.MatchWorkers(
        in_pools=workers.in_pools,
        eligible=workers.eligible,
        excluded=responses.ExcludedWorkers(**excluded),
    )


def _offer(row: Offer) -> responses.MatchOffer:
    return responses.MatchOffer(
        offer_id=row.id,
        worker_id=row.worker_id,
        pool_id=row.pool_id,
        offered_at=row.offered_at,
        expires_at=row.expires_at,
        why=row.why,
    )


def _escalation(explanation: Explanation) -> responses.MatchEscalation | None:
    state = explanation.escalation
    if state is None:
        return None
    return responses.MatchEscalation(
        steps_taken=state.steps_taken,
        steps=state.steps,
        at_end=state.at_end,
        next_at=state.next_at,
    )


def _next(explanation: Explanation) -> str:
    """Return what has to happen for the task to continue."""
    task = explanation.task
    if task.status == Status.CREATED and task.is_claim_only:
        return "An agent or an operator has to claim it by `/api`: it is never offered."
    if task.status == Status.CREATED and task.gate_count:
        return "The tasks that it depends on have to be completed."
    if task.status == Status.QUEUED:
        return _next_of_queued(explanation.workers)
    if task.review_id is not None:
        return "A reviewer has to decide on its output."
    return NEXT.get(Status(task.status), "The task has ended and is not offered any more.")


def _next_of_queued(workers: WorkerCounts) -> str:
    if workers.eligible:
        return "It is offered after the tasks ahead of it."
    if not workers.in_pools:
        return "No open pool that it may be offered to has a worker."
    busy = {rule: workers.excluded[rule] for rule in EXCLUDED_NOW if workers.excluded.get(rule)}
    if not busy and workers.excluded.get("cannot_do"):
        return "The workers who meet the requirements said that they cannot do the task."
    if not busy:
        return "No worker in the pools meets the requirements."
    count = sum(busy.values())
    fit = (
        "One worker meets the requirements, but cannot be offered the task now"
        if count == 1
        else f"{count} workers meet the requirements, but none can be offered the task now"
    )
    reasons = ", ".join(f"{number} {EXCLUDED_NOW[rule]}" for rule, number in busy.items())
    return f"{fit}: {reasons}."


def dry_run(result: DryRun) -> responses.PoolDryRun:
    """Return what a change of a pool would do to its queue."""
    return responses.PoolDryRun(
        pool_id=result.pool_id,
        tasks_waiting=result.tasks_queued,
        tasks_looked_at=len(result.before.fates),
        before=_outlook(result.before),
        after=_outlook(result.after),
        changed=[
            responses.ChangedFate(
                task_id=task_id,
                before=choice(result.before.fates[task_id]),
                after=choice(result.after.fates[task_id]),
            )
            for task_id in result.changed
        ],
    )


def _outlook(outlook: Outlook) -> responses.PoolOutlook:
    return responses.PoolOutlook(
        offered=outlook.count("offered"),
        waits=outlook.count("waits"),
        fails=outlook.count("fails"),
        workers_asked=outlook.workers_offered,
    )
