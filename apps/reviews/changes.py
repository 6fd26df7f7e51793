"""Describe the rows of reviews for a transition to write."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.base.rows import Change, Insert, Statement, Update
from apps.reviews.models import Appeal, Review, SecondLook
from apps.timers.changes import timer_upsert

# The timers of a review, which is their subject.
REVIEW_DUE = "review_due"
REVIEW_AUTO = "review_auto"

FREE: Mapping[str, Any] = {
    "claimed_by": "",
    "lease_until": None,
    "claimed_at": None,
    "reviewer_worker_id": None,
    "reviewer_member_id": None,
}
"""The columns of an open review that no reviewer has."""


def new_review(review: Review) -> list[Change]:
    """Return the row of a new review, and the timers of its policy."""
    times = {REVIEW_DUE: review.due_at, REVIEW_AUTO: review.auto_approve_at}
    return [
        Insert(review),
        *(_timer(review, kind, due_at) for kind, due_at in times.items() if due_at is not None),
    ]


def _timer(review: Review, kind: str, due_at: datetime) -> Change:
    return timer_upsert(
        organisation_id=review.organisation_id, kind=kind, subject_id=review.id, due_at=due_at
    )


def review_update(review: Review, values: Mapping[str, Any]) -> Update:
    """Return the update of a locked review; `review` has the new values at once."""
    for name, value in values.items():
        setattr(review, name, value)
    return Update(Review, {"id": review.id}, values)


def appeal_update(appeal: Appeal, values: Mapping[str, Any]) -> Update:
    """Return the update of a locked appeal; `appeal` has the new values at once."""
    for name, value in values.items():
        setattr(appeal, name, value)
    return Update(Appeal, {"id": appeal.id}, values)


def second_look_update(look: SecondLook, values: Mapping[str, Any]) -> Update:
    """Return the update of a locked second look; `look` has the new values at once."""
    for name, value in values.items():
        setattr(look, name, value)
    return Update(SecondLook, {"id": look.id}, values)


EXPIRE = """
UPDATE reviews_review SET status = 'expired', version = version + 1, claimed_by = '',
    lease_until = NULL, claimed_at = NULL, reviewer_worker_id = NULL, reviewer_member_id = NULL,
    decided_by = 'system:policy', decided_at = %s
WHERE task_id = %s AND status IN ('waiting', 'claimed')
"""


def expired_review(*, task_id: UUID, at: datetime) -> Statement:
    """Return the end of a task's open review, where the task ended without a verdict."""
    return Statement(EXPIRE, (at, task_id))
