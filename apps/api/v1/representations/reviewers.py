"""Represent the figures of reviewers, and second looks."""

from typing import Any

from apps.api.v1.representations import tasks
from apps.api.v1.representations.reviews import reviewed_task
from apps.api.v1.representations.values import choice
from apps.reviews.models import SecondLook
from apps.reviews.selectors import ReviewerFigures
from biolayer.responses import reviewers as responses


def reviewer(row: ReviewerFigures) -> responses.Reviewer:
    """Return what a reviewer decided in a period; a share of nothing is null."""
    return responses.Reviewer(
        reviewer=row.decided_by,
        decided=row.decided,
        approvals=row.approvals,
        reworks=row.reworks,
        rejections=row.rejections,
        active_hours=row.active_hours,
        approvals_per_hour=round(row.approvals_per_hour, 2),
        claimed_approvals=row.claimed_approvals,
        fast_approval_share=_rounded(row.fast_approval_share),
        decided_again=row.decided_again,
        agreement=_rounded(row.agreement),
    )


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def second_look(row: SecondLook) -> responses.SecondLook:
    """Return a second look in a list."""
    return responses.SecondLook(**_look(row))


def second_look_detail(row: SecondLook) -> responses.SecondLookDetail:
    """Return a second look with what its reviewer needs, and without the first verdict."""
    return responses.SecondLookDetail(
        **_look(row), output=row.review.run.output, contract=tasks.task(row.review.task)
    )


def _look(row: SecondLook) -> dict[str, Any]:
    return {
        "second_look_id": row.id,
        "status": choice(row.status),
        "review_id": row.review_id,
        "run_id": row.review.run_id,
        "task": reviewed_task(row.review.task),
        "requested_at": row.requested_at,
        "decided_by": row.decided_by or None,
        "decided_at": row.decided_at,
        "reason": row.reason or None,
    }
