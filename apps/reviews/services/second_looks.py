"""Have some approvals looked at again, by another reviewer, to know how far reviewers agree.

The task does not wait: the first verdict decides. So a second look is a row of its own, which holds
nothing back, and says in the statistics of reviewers whether another person agrees.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.ids import new_id
from apps.base.rows import Change, Insert, write
from apps.base.transactions import atomic
from apps.reviews.changes import second_look_update
from apps.reviews.models import Review, ReviewStatus, SecondLook, SecondLookStatus
from apps.reviews.selectors import policy_of, require_other, require_reviewer
from apps.reviews.services.locks import lock_second_look
from apps.reviews.services.sampling import SECOND_LOOK, draw
from biolayer.errors import SecondLookClosed

STATUS_OF: Mapping[str, SecondLookStatus] = {
    "approve": SecondLookStatus.AGREED,
    "reject": SecondLookStatus.DISAGREED,
}


def drawn_second_look(review: Review, at: datetime) -> Iterator[Change]:
    """Yield the second look at a review, where a person has approved it and it is drawn.

    `review` has the columns of its verdict already.
    """
    share = policy_of(review).second_look_share
    if review.status != ReviewStatus.APPROVED or share <= 0:
        return
    if draw(review.task_id, SECOND_LOOK) < share:
        yield Insert(
            SecondLook(
                id=new_id(),
                organisation_id=review.organisation_id,
                review_id=review.id,
                worker_id=review.author_id,
                verdict_by=review.decided_by,
                verdict_worker_id=review.reviewer_worker_id,
                verdict_member_id=review.reviewer_member_id,
                requested_at=at,
            )
        )


@atomic()
def give_second_look(
    *, actor: Principal, look_id: UUID, verdict: str, reason: str, at: datetime
) -> SecondLook:
    """Say whether the actor agrees with an approval: `approve` or `reject`.

    The task stays as it is.

    Raise `NotAReviewer`, `NotFound`, `OwnVerdict` for who approved it, `OwnWork`, `RoleTooLow`,
    `ScopeMissing`, `SecondLookClosed`.
    """
    actor.require(Scope.TASKS_REVIEW)
    look = lock_second_look(actor=actor, look_id=look_id)
    require_reviewer(actor, look.review)
    other = require_other(actor, look)
    if look.status != SecondLookStatus.WAITING:
        raise SecondLookClosed(look.status)
    values = {
        "status": STATUS_OF[verdict],
        "decided_by": actor.text,
        "decider_worker_id": other.worker_id,
        "decider_member_id": other.member_id,
        "decided_at": at,
        "reason": reason,
    }
    write([second_look_update(look, values)])
    return look
