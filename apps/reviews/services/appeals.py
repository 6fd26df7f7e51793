"""Let workers appeal verdicts on their work, and let managers decide on appeals. Each once.

1. Lock the task, the review, then the appeal.
2. Check whose work it is, or who decides: neither the worker, nor the reviewer.
3. Record it: the appeal's row, and an event in the task's log. Its status does not change.
4. With a verdict that is overturned, take its rating back, and give the new one. The worker is
   locked last.

The task has moved on since the verdict, and stays where it is. A manager who may reopen it can have
that done with the decision.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.base.ids import new_id
from apps.base.rows import Insert
from apps.base.transactions import atomic
from apps.pools.services import rate_worker, take_rating_back
from apps.reviews.changes import appeal_update
from apps.reviews.models import Appeal, AppealStatus, Review
from apps.reviews.selectors import Identity, appeal_until, require_manager, require_other
from apps.reviews.services.locks import lock_appeal, lock_own_review
from apps.reviews.services.requests import review_facts
from apps.tasks import services as tasks
from biolayer.errors import (
    AlreadyAppealed,
    AppealChanged,
    AppealClosed,
    AppealTooLate,
    NotAppealable,
    TaskPurged,
)
from biolayer.lifecycle import Command
from biolayer.times import format_time

STATUS_OF: Mapping[str, AppealStatus] = {
    "uphold": AppealStatus.UPHELD,
    "overturn": AppealStatus.OVERTURNED,
}


@dataclass(frozen=True, slots=True)
class Ruling:
    """Hold what a manager decides: about the `version` of an appeal, `uphold` or `overturn`.

    With `overturn`, `rating` is given instead of that of the verdict, and `is_reopening` queues the
    task again.
    """

    version: int
    decision: str
    reason: str
    rating: int | None = None
    is_reopening: bool = False


@atomic()
def open_appeal(*, actor: Principal, review_id: UUID, reason: str, at: datetime) -> Appeal:
    """Appeal a verdict by which the actor's work was sent back or rejected.

    Raise `AlreadyAppealed`, `AppealTooLate`, `NotAppealable`, `NotFound` for the work of others,
    `ScopeMissing`, `TaskPurged`.
    """
    worker_id = actor.require_worker()
    review = lock_own_review(actor=actor, worker_id=worker_id, review_id=review_id)
    _require_appealable(review, at)
    appeal = Appeal(
        id=new_id(),
        organisation_id=review.organisation_id,
        review=review,
        worker_id=worker_id,
        verdict_by=review.decided_by,
        verdict_worker_id=review.reviewer_worker_id,
        verdict_member_id=review.reviewer_member_id,
        reason=reason,
        opened_at=at,
    )
    tasks.record_appeal(
        task=review.task,
        command=Command.OPEN_APPEAL,
        actor=actor,
        at=at,
        data=_facts(appeal),
        reason=reason,
        also=[Insert(appeal)],
    )
    return appeal


@atomic()
def decide_appeal(*, actor: Principal, appeal_id: UUID, ruling: Ruling, at: datetime) -> Appeal:
    """Decide on an appeal. Return it with its review and its task.

    Raise `AppealChanged` where it is not as the actor has read it, `AppealClosed`, `NotFound`,
    `OwnVerdict`, `OwnWork`, `RoleTooLow`, `ScopeMissing`, and to reopen the task also
    `AttemptsExhausted` and `IllegalTransition`: then nothing has changed.
    """
    require_manager(actor)
    appeal = lock_appeal(actor=actor, appeal_id=appeal_id)
    decider = require_other(actor, appeal)
    if appeal.version != ruling.version:
        raise AppealChanged(version=appeal.version, status=appeal.status)
    if appeal.status != AppealStatus.OPEN:
        raise AppealClosed(appeal.status)
    _record(appeal, ruling, actor, decider, at)
    if ruling.is_reopening:
        task_id = appeal.review.task_id
        appeal.review.task = tasks.reopen_task(
            actor=actor, task_id=task_id, reason=ruling.reason, at=at
        )
    if appeal.status == AppealStatus.OVERTURNED:
        _change_rating(appeal, actor, at)
    return appeal


def _require_appealable(review: Review, at: datetime) -> None:
    until = appeal_until(review)
    if until is None:
        text = "Only a verdict that sent work back or rejected it is appealed, if its policy allows"
        raise NotAppealable(f"{text} it.", status=review.status)
    appeal = Appeal.objects.filter(review_id=review.id).first()
    if appeal is not None:
        raise AlreadyAppealed(appeal_id=str(appeal.id), status=appeal.status)
    if at >= until:
        raise AppealTooLate(format_time(until))
    if review.task.purged_at is not None:
        raise TaskPurged


def _record(
    appeal: Appeal, ruling: Ruling, actor: Principal, decider: Identity, at: datetime
) -> None:
    values = {
        "status": STATUS_OF[ruling.decision],
        "version": appeal.version + 1,
        "decided_by": actor.text,
        "decider_worker_id": decider.worker_id,
        "decider_member_id": decider.member_id,
        "decided_at": at,
        "decision_reason": ruling.reason,
        "rating": ruling.rating,
    }
    also = [appeal_update(appeal, values)]
    facts = {**_facts(appeal), "decision": appeal.status}
    if ruling.rating is not None:
        facts["rating"] = ruling.rating
    tasks.record_appeal(
        task=appeal.review.task,
        command=Command.DECIDE_APPEAL,
        actor=actor,
        at=at,
        data=facts,
        reason=ruling.reason,
        also=also,
    )


def _facts(appeal: Appeal) -> dict[str, Any]:
    facts = {"appeal_id": str(appeal.id), **review_facts(appeal.review)}
    return {**facts, "verdict": appeal.review.status}


def _change_rating(appeal: Appeal, actor: Principal, at: datetime) -> None:
    """Take the rating of an overturned verdict back, if it had one, and give the new one."""
    worker_id = appeal.worker_id
    if appeal.review.rating is not None:
        take_rating_back(actor=actor, worker_id=worker_id, stars=appeal.review.rating, at=at)
    if appeal.rating is not None:
        rate_worker(actor=actor, worker_id=worker_id, stars=appeal.rating, at=at)
