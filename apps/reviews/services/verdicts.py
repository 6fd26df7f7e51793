"""Decide reviews: approve, send back, reject. Each once, by a person or by the policy.

1. Lock the task, then the review.
2. Check who decides, what it has read (the version), and that no other reviewer has it.
3. Record the verdict: the review's row, the event `review.decided`, the end of its timers.
4. Verify the task, queue its next attempt, or fail it, in the same transaction.
5. Rate the worker, which is locked last.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID

from django.db import transaction

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.transactions import atomic, one_of_several
from apps.base.wake import wake
from apps.pools.services import rate_worker
from apps.reviews.changes import FREE, review_update
from apps.reviews.models import Review, ReviewStatus
from apps.reviews.selectors import Identity, policy_of, require_reviewer
from apps.reviews.services.claims import require_free
from apps.reviews.services.locks import lock_open, lock_with_task
from apps.reviews.services.requests import review_facts
from apps.reviews.services.second_looks import drawn_second_look
from apps.tasks import services as tasks
from apps.timers.changes import timer_deletion
from biolayer.errors import (
    BioLayerError,
    Fault,
    InvalidInput,
    NothingProposed,
    ReviewChanged,
    pointer,
)
from biolayer.lifecycle import Status
from biolayer.pointers import points_into
from biolayer.requests.reviews import ReviewVerdict, Verdict

STATUS_OF: Mapping[str, ReviewStatus] = {
    "approve": ReviewStatus.APPROVED,
    "rework": ReviewStatus.REWORK,
    "reject": ReviewStatus.REJECTED,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """Hold a verdict on a locked review: what is stored of it, and who decided."""

    status: ReviewStatus
    actor: Principal
    reason: str = ""
    pointers: Sequence[str] = ()
    rating: int | None = None
    reviewer: Identity = field(default_factory=Identity)


@atomic()
def give_verdict(*, actor: Principal, review_id: UUID, verdict: Verdict, at: datetime) -> Review:
    """Decide a review. Return it with its task, which has moved on.

    Raise `InvalidInput` for pointers that lead nowhere in the output, `NotAReviewer`, `NotFound`,
    `OwnWork`, `ReviewChanged` where it is not as the actor has read it, `ReviewClaimed`,
    `ReviewClosed`, `RoleTooLow`, `ScopeMissing`: then nothing has changed.
    """
    actor.require(Scope.TASKS_REVIEW)
    review = lock_with_task(actor=actor, review_id=review_id)
    _give(review, actor, verdict, at)
    _rate(review, actor, at)
    return review


@atomic()
def decide_task(
    *,
    actor: Principal,
    task_id: UUID,
    verdict: Literal["approve", "rework"],
    at: datetime,
    reason: str = "",
    version: int | None = None,
) -> Review:
    """Decide the open review of a task, by its version or (None) as it is now.

    An approved task is completed at once: who approves need not wait for the verification. Raise
    `NothingProposed` where no review is open, and what `give_verdict` raises.
    """
    actor.require(Scope.TASKS_REVIEW)
    review = lock_open(actor=actor, task_id=task_id)
    if review is None:
        raise NothingProposed
    read = review.version if version is None else version
    _give(review, actor, Verdict(version=read, verdict=verdict, reason=reason), at)
    if review.task.status == Status.VERIFIED:
        verifier = principal.system("verification", review.organisation_id)
        tasks.complete_task(task=review.task, actor=verifier, at=at)
    return review


def _give(review: Review, actor: Principal, verdict: Verdict, at: datetime) -> None:
    """Check an actor's verdict on a locked review, and decide it."""
    reviewer = require_reviewer(actor, review)
    if review.version != verdict.version:
        raise ReviewChanged(version=review.version, status=review.status)
    require_free(review, actor, at)
    faults = list(_pointer_faults(verdict, review.run.output))
    if faults:
        raise InvalidInput(faults)
    decision = Decision(
        status=STATUS_OF[verdict.verdict],
        actor=actor,
        reason=verdict.reason,
        pointers=verdict.pointers,
        rating=verdict.rating,
        reviewer=reviewer,
    )
    decide(review, decision, at)


def give_verdicts(
    *, actor: Principal, verdicts: Sequence[ReviewVerdict], at: datetime
) -> dict[UUID, Review | BioLayerError]:
    """Decide reviews, each for itself. Return for each the review, or its refusal.

    They come in the order of `verdicts`, and are decided in the order of their tasks, so that two
    such calls do not wait for each other in a circle. Within a transaction, workers are rated after
    the last verdict, since a transaction that has locked a worker must not wait for a task. Raise
    `ScopeMissing`.
    """
    actor.require(Scope.TASKS_REVIEW)
    given = {verdict.review_id: verdict for verdict in verdicts}
    visible = Review.objects.visible_to(actor).filter(id__in=given)
    in_order = dict(visible.order_by("task_id", "round").values_list("id", "task_id"))
    is_one_transaction = transaction.get_connection().in_atomic_block

    # Within a transaction, a refusal undoes its own verdict only.
    @transaction.atomic
    def give(review_id: UUID) -> Review:
        review = lock_with_task(actor=actor, review_id=review_id)
        _give(review, actor, given[review_id], at)
        if not is_one_transaction:
            _rate(review, actor, at)
        return review

    ids = [*in_order, *(given.keys() - in_order.keys())]
    results = {review_id: one_of_several(partial(give, review_id)) for review_id in ids}
    if is_one_transaction:
        decided = [one for one in results.values() if isinstance(one, Review)]
        for review in sorted(decided, key=lambda one: one.author_id):
            _rate(review, actor, at)
    return {review_id: results[review_id] for review_id in given}


def _rate(review: Review, actor: Principal, at: datetime) -> None:
    """Rate the worker of a review that was just decided, where its verdict has a rating."""
    if review.rating is not None:
        rate_worker(actor=actor, worker_id=review.author_id, stars=review.rating, at=at)


def _pointer_faults(verdict: Verdict, output: Any) -> list[Fault]:
    return [
        Fault(pointer("pointers", index), "not_in_output", "leads nowhere in the output")
        for index, place in enumerate(verdict.pointers)
        if not points_into(place, output)
    ]


def decide(review: Review, decision: Decision, at: datetime) -> None:
    """Record the verdict on a locked open review, and move its locked task on."""
    close_reason = _close_reason(review, decision.status)
    facts = {
        **review_facts(review),
        "verdict": decision.status.value,
        "next_status": _next_status(decision.status, close_reason).value,
        **({} if decision.rating is None else {"rating": decision.rating}),
    }
    values = {
        **FREE,
        "status": decision.status,
        "version": review.version + 1,
        "claimed_at": review.claimed_at if review.claimed_by == decision.actor.text else None,
        "reviewer_worker_id": decision.reviewer.worker_id,
        "reviewer_member_id": decision.reviewer.member_id,
        "reason": decision.reason,
        "pointers": list(decision.pointers),
        "rating": decision.rating,
        "decided_by": decision.actor.text,
        "decided_at": at,
    }
    update = review_update(review, values)
    tasks.end_review(
        task=review.task,
        actor=decision.actor,
        at=at,
        data=facts,
        reason=decision.reason,
        also=[update, timer_deletion(subject_id=review.id), *drawn_second_look(review, at)],
    )
    _move_on(review, decision, close_reason, at)


def _close_reason(review: Review, status: ReviewStatus, reworks: int | None = None) -> str:
    """Return why the task fails by a verdict; empty: it does not.

    `reworks` is how often the task was sent back before; None: it is counted if need be.
    """
    policy, task = policy_of(review), review.task
    is_last = task.attempt >= task.max_attempts
    if status == ReviewStatus.REJECTED and policy.on_reject == "fail":
        return "rejected"
    if status not in (ReviewStatus.REJECTED, ReviewStatus.REWORK):
        return ""
    if is_last:
        return "attempts_exhausted"
    if status == ReviewStatus.REWORK and policy.max_rework is not None:
        earlier = _reworks([review])[task.id] if reworks is None else reworks
        return "reworks_exhausted" if earlier >= policy.max_rework else ""
    return ""


def _reworks(reviews: Sequence[Review]) -> Counter[UUID]:
    """Count by task how often it was sent back."""
    ids = [review.task_id for review in reviews]
    rows = Review.objects.filter(task_id__in=ids, status=ReviewStatus.REWORK)
    return Counter(rows.values_list("task_id", flat=True))


def why_it_fails(review: Review, verdict: str) -> str:
    """Return why the task would fail by a verdict of that name; empty: it would not."""
    return _close_reason(review, STATUS_OF[verdict])


def count_failing(reviews: Sequence[Review], verdict: str) -> int:
    """Return of how many reviews the task would fail by a verdict of that name."""
    status = STATUS_OF[verdict]
    reworks = _reworks([one for one in reviews if policy_of(one).max_rework is not None])
    return sum(bool(_close_reason(one, status, reworks[one.task_id])) for one in reviews)


def _next_status(status: ReviewStatus, close_reason: str) -> Status:
    if close_reason:
        return Status.FAILED
    is_sent_back = status in (ReviewStatus.REJECTED, ReviewStatus.REWORK)
    return Status.QUEUED if is_sent_back else Status.VERIFIED


def _move_on(review: Review, decision: Decision, close_reason: str, at: datetime) -> None:
    """Verify, queue or fail the task of a review that was just decided."""
    task, actor = review.task, decision.actor
    if close_reason:
        tasks.fail_task(task=task, actor=actor, reason=close_reason, at=at)
    elif _next_status(decision.status, close_reason) is Status.QUEUED:
        tasks.rework_task(
            task=task,
            actor=actor,
            reason=decision.reason,
            at=at,
            to_same_worker=decision.status == ReviewStatus.REWORK,
        )
    else:
        tasks.verify_task(task=task, actor=actor, at=at)
        wake("verification")
