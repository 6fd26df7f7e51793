"""Do what a review policy sets a time for: report a review as overdue, and approve it.

A timer and a person's verdict may race. Both lock the task, then the review: the second one finds
the review decided, and does nothing.
"""

from datetime import datetime
from uuid import UUID

from apps.accounts import principal
from apps.base.transactions import atomic
from apps.reviews.changes import review_update
from apps.reviews.models import ReviewStatus
from apps.reviews.services.locks import lock_nowait
from apps.reviews.services.requests import reactions_to, review_facts
from apps.reviews.services.verdicts import Decision, decide
from apps.tasks import services as tasks
from biolayer.times import format_time


@atomic()
def report_overdue(*, review_id: UUID, at: datetime) -> datetime | None:
    """Report an open review as overdue, once; from now on each member with the role may decide.

    Raise `OperationalError` at once where another transaction has the task or the review locked.
    """
    review = lock_nowait(review_id=review_id)
    if review is None or not review.is_open or review.due_at is None or review.escalated_at:
        return None
    times = {"due_at": format_time(review.due_at), "detected_at": format_time(at)}
    update = review_update(review, {"escalated_at": at})
    tasks.report_overdue_review(
        task=review.task,
        at=at,
        data={**review_facts(review), **times},
        also=[update, *reactions_to(review, at)],
    )
    return None


@atomic()
def auto_approve_review(*, review_id: UUID, at: datetime) -> datetime | None:
    """Approve an open review by its policy. While a reviewer has it, wait for the end of the lease.

    Return when to look again. Raise `OperationalError` as `report_overdue` does.
    """
    review = lock_nowait(review_id=review_id)
    if review is None or not review.is_open:
        return None
    if review.holder(at):
        return review.lease_until
    actor = principal.system("policy", review.organisation_id)
    decide(review, Decision(ReviewStatus.AUTO_APPROVED, actor), at)
    return None
