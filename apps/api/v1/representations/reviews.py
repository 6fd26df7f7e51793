"""Represent reviews."""

from datetime import datetime
from typing import Any

from apps.api.v1.representations import tasks
from apps.api.v1.representations.values import choice
from apps.reviews.models import Review
from apps.reviews.selectors import ReviewDetail
from apps.tasks.models import Task
from biolayer.responses import reviews as responses


def review(row: Review, *, at: datetime) -> responses.Review:
    """Return a review in a list. A claim that has lapsed is shown as waiting."""
    return responses.Review(**_review(row, at))


def detail(found: ReviewDetail, *, at: datetime) -> responses.ReviewDetail:
    """Return a review with what its reviewer needs."""
    return responses.ReviewDetail(
        **_review(found.review, at),
        output=found.output,
        evidence_ids=list(found.evidence_ids),
        contract=tasks.task(found.review.task),
        previous=None if found.previous is None else _previous(found.previous),
    )


def _review(row: Review, at: datetime) -> dict[str, Any]:
    holder = row.holder(at)
    return {
        "review_id": row.id,
        "version": row.version,
        "status": choice(row.status if holder or not row.is_open else "waiting"),
        "task": reviewed_task(row.task),
        "run_id": row.run_id,
        "attempt": row.attempt,
        "round": row.round,
        "worker_id": row.worker_id,
        "pool_id": row.pool_id,
        "cause": choice(row.cause),
        "review_policy": row.policy,
        "requested_at": row.requested_at,
        "due_at": row.due_at,
        "auto_approve_at": row.auto_approve_at,
        "escalated_at": row.escalated_at,
        "claimed_by": holder or None,
        "lease_until": row.lease_until if holder else None,
        "reason": row.reason or None,
        "pointers": row.pointers,
        "rating": row.rating,
        "decided_by": row.decided_by or None,
        "decided_at": row.decided_at,
    }


def reviewed_task(row: Task) -> responses.ReviewedTask:
    """Return the task of a review in a list."""
    return responses.ReviewedTask(
        task_id=row.id,
        task_type=row.task_type,
        domain=row.domain,
        title=row.title,
        urgency=choice(row.urgency),
    )


def _previous(row: Review) -> responses.PreviousReview:
    return responses.PreviousReview(
        review_id=row.id,
        attempt=row.attempt,
        status=choice(row.status),
        output=row.run.output,
        reason=row.reason or None,
        pointers=row.pointers,
    )
