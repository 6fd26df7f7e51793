"""Decide at a submission whether a person reviews it."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max

from apps.base.ids import new_id
from apps.base.rows import Change
from apps.pools.models import Worker
from apps.reviews.changes import new_review
from apps.reviews.models import Review
from apps.reviews.services.sampling import draw
from apps.tasks.models import Run
from apps.tasks.selectors import submitted_in_pool
from apps.tasks.services import ReviewRequest
from biolayer.reviews import ReviewCause, ReviewPolicy, combined
from biolayer.times import format_time

# Returns rows that tell reviewers of a review, which was requested, or is overdue.
ReviewReaction = Callable[[Review, datetime], Iterable[Change]]

_reactions: list[ReviewReaction] = []


def react_to_reviews(reaction: ReviewReaction) -> None:
    """Write the rows of `reaction` when a review is requested, and when it is overdue.

    Called by config/wiring.py only.
    """
    _reactions.append(reaction)


def reactions_to(review: Review, at: datetime) -> Iterator[Change]:
    """Yield the rows of all reactions to a review that was requested, or is overdue."""
    for reaction in _reactions:
        yield from reaction(review, at)


def decide_on_review(run: Run, at: datetime) -> ReviewRequest | None:
    """Return the review that the submission of a locked run must wait for, None for none.

    It reads only what the policy of the pool and the task asks for.
    """
    policy = combined(
        pool=_parsed(vars(run)["pool_review_policy"]), task=_parsed(run.task.review_policy)
    )
    cause = None if policy is None else _cause(policy, run)
    if policy is None or cause is None:
        return None
    review = _review(policy, cause, run, at)
    facts = {
        **review_facts(review),
        "cause": cause.value,
        "due_at": _text(review.due_at),
        "auto_approve_at": _text(review.auto_approve_at),
    }
    rows = [*new_review(review), *reactions_to(review, at)]
    return ReviewRequest(review.id, review.due_at, facts, rows)


def review_facts(review: Review) -> dict[str, Any]:
    """Return the facts that all events of a review share."""
    return {
        "review_id": str(review.id),
        "run_id": str(review.run_id),
        "worker_id": str(review.worker_id),
        "attempt": review.attempt,
        "round": review.round,
    }


def _parsed(stored: Any) -> ReviewPolicy | None:
    return None if stored is None else ReviewPolicy.model_validate(stored)


def _cause(policy: ReviewPolicy, run: Run) -> ReviewCause | None:
    pool_id, worker_id = run.pool_id or run.task.pool_id, run.worker_id
    assert worker_id is not None
    if policy.mode == "all" or not policy.is_needed:
        return policy.cause(draw=1, tasks_before=0, rating=0)
    number = draw(run.task_id) if policy.mode == "sample" else 1.0
    tasks_before, rating = policy.first_tasks, policy.below_rating
    if policy.first_tasks and pool_id is not None:
        tasks_before = submitted_in_pool(
            worker_id=worker_id, pool_id=pool_id, limit=policy.first_tasks
        )
    if policy.below_rating:
        rating = Worker.objects.get(id=worker_id).rating_now
    return policy.cause(draw=number, tasks_before=tasks_before, rating=rating)


def _review(policy: ReviewPolicy, cause: ReviewCause, run: Run, at: datetime) -> Review:
    assert run.worker_id is not None
    deadline, hours = policy.deadline_seconds, policy.auto_approve_after_hours
    return Review(
        id=new_id(),
        organisation_id=run.organisation_id,
        task_id=run.task_id,
        run_id=run.id,
        pool_id=run.pool_id or run.task.pool_id,
        worker_id=run.worker_id,
        attempt=run.attempt,
        # The task is locked: no other review of it can begin.
        round=_last_round(run) + 1,
        policy=policy.stored(),
        cause=cause.value,
        requested_at=at,
        due_at=None if deadline is None else at + timedelta(seconds=deadline),
        auto_approve_at=None if hours is None else at + timedelta(hours=hours),
    )


def _last_round(run: Run) -> int:
    rounds = Review.objects.filter(task_id=run.task_id)
    return int(rounds.aggregate(last=Max("round"))["last"] or 0)


def _text(time: datetime | None) -> str | None:
    return None if time is None else format_time(time)
