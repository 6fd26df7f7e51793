"""Give reviews to reviewers for a time, so that two people never do the same.

A claim is a lease that ends by the clock alone: from `lease_until` on, the review counts as
waiting, in lists and for the next claim. No timer has to fire.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.reviews.changes import FREE, review_update
from apps.reviews.models import Review, ReviewStatus
from apps.reviews.selectors import require_reviewer
from apps.reviews.services.locks import lock_review
from biolayer.errors import ReviewClaimed, ReviewClosed, ReviewNotClaimed
from biolayer.times import format_time

LEASE = timedelta(minutes=10)
LONGEST = timedelta(hours=2)
"""How long renewals last from the claim: then others, and the policy's timer, have their turn."""


@atomic()
def claim_review(*, actor: Principal, review_id: UUID, at: datetime) -> Review:
    """Give a review to the actor for `LEASE`, or renew the actor's lease, up to `LONGEST` in all.

    Raise `NotAReviewer`, `NotFound`, `OwnWork`, `ReviewClaimed`, `ReviewClosed`, `RoleTooLow`,
    `ScopeMissing`.
    """
    actor.require(Scope.TASKS_REVIEW)
    review = lock_review(actor=actor, review_id=review_id)
    reviewer = require_reviewer(actor, review)
    require_free(review, actor, at)
    values: dict[str, Any] = {
        "status": ReviewStatus.CLAIMED,
        "claimed_by": actor.text,
        "lease_until": at + LEASE,
        "reviewer_worker_id": reviewer.worker_id,
        "reviewer_member_id": reviewer.member_id,
    }
    if review.holder(at) != actor.text:
        values |= {"version": review.version + 1, "claimed_at": at}
    elif review.claimed_at is not None:
        values["lease_until"] = min(at + LEASE, review.claimed_at + LONGEST)
    write([review_update(review, values)])
    return review


@atomic()
def release_review(*, actor: Principal, review_id: UUID, at: datetime) -> Review:
    """Let another reviewer have a review that the actor claimed.

    Raise `NotFound`, `ReviewClosed`, `ReviewNotClaimed`, `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.TASKS_REVIEW)
    review = lock_review(actor=actor, review_id=review_id)
    if not review.is_open:
        raise ReviewClosed(review.status)
    if review.holder(at) != actor.text:
        raise ReviewNotClaimed("You did not claim it, or the time for it has ended.")
    values = {"status": ReviewStatus.WAITING, **FREE, "version": review.version + 1}
    write([review_update(review, values)])
    return review


def require_free(review: Review, actor: Principal, at: datetime) -> None:
    """Raise `ReviewClosed` for a decided review, `ReviewClaimed` where another reviewer has it."""
    if not review.is_open:
        raise ReviewClosed(review.status)
    if review.holder(at) not in ("", actor.text):
        assert review.lease_until is not None
        raise ReviewClaimed(format_time(review.lease_until))
