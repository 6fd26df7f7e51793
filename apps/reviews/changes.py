"""Describe the rows of reviews for a transition to write."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.base.rows import Change, Insert, Statement, Update
from apps.reviews.models import Appeal, Review, ReviewStatus, SecondLook
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
WHERE task_id = %s AND kind = 'output' AND status IN ('waiting', 'claimed')
"""


def expired_review(*, task_id: UUID, at: datetime) -> Statement:
    """Return the end of a task's open review, where the task ended without a verdict."""
    return Statement(EXPIRE, (at, task_id))


# --- reviews of final runs ------------------------------------------------------------------------

VERDICTS: Mapping[str, ReviewStatus] = {
    "approved": ReviewStatus.APPROVED,
    "rejected": ReviewStatus.REJECTED,
}
"""Outcome -> status. The other outcomes are no verdict on the work."""


def bound_review(review: Review, *, reviewer: str, at: datetime) -> Update:
    """Return that a reviewer has a locked review of a run until its deadline, or another one."""
    values = {"claimed_by": reviewer, "lease_until": review.due_at, "claimed_at": at}
    return review_update(review, {"status": ReviewStatus.CLAIMED, **values})


def recorded_review(
    review: Review,
    *,
    outcome: str,
    decided_by: str,
    at: datetime,
    worker_id: UUID | None = None,
    member_id: UUID | None = None,
) -> Update:
    """Return the end of a locked review of a run by an outcome of `/api`."""
    values = {
        "status": VERDICTS.get(outcome, ReviewStatus.EXPIRED),
        "claimed_by": "",
        "lease_until": None,
        "claimed_at": review.claimed_at if review.claimed_by == decided_by else None,
        "reviewer_worker_id": worker_id,
        "reviewer_member_id": member_id,
        "decided_by": decided_by,
        "decided_at": at,
    }
    return review_update(review, values)


DROP = """
UPDATE reviews_review SET status = 'expired', claimed_by = '', lease_until = NULL,
    claimed_at = NULL, decided_by = 'system:policy', decided_at = %s
WHERE task_id = ANY(%s) AND kind = 'run' AND status IN ('waiting', 'claimed')
"""


def dropped_reviews_of_runs(*, task_ids: Sequence[UUID], at: datetime) -> Statement:
    """Return the end of the open reviews of runs of tasks that are deleted or purged."""
    return Statement(DROP, (at, list(task_ids)))
