"""Read reviews of runs: those of `/api`, and the kernel's of outputs, in the words of `/api`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db.models import Q

from apps.accounts.scopes import Scope
from apps.operations.caller import DAEMON, HUMAN, Caller
from apps.operations.models import RunReview, TaskDetails
from apps.operations.selectors.find import run_of, task_of
from apps.operations.selectors.views import wire_ids
from apps.reviews.models import Review, ReviewStatus
from apps.tasks.models import Task
from biolayer.errors import NotFound

ReviewState = Literal["requested", "routed", "in_review", "recorded", "circuit_opened", "canceled"]
ReviewOutcome = Literal["approved", "rejected", "blocked", "error", "timeout", "invalid_output"]

OUTCOMES: Mapping[str, ReviewOutcome] = {
    ReviewStatus.APPROVED.value: "approved",
    ReviewStatus.AUTO_APPROVED.value: "approved",
    ReviewStatus.REWORK.value: "rejected",
    ReviewStatus.REJECTED.value: "rejected",
}
"""Of the verdicts on outputs."""
OF_OUTPUTS = "on_success"
"""The policy that reviews of outputs are shown with."""


@dataclass(frozen=True, slots=True)
class RunReviewView:
    """Hold a review; `row` is None for one of an output, which `/api` does not decide."""

    review: Review
    row: RunReview | None
    # Of its task, on the wire.
    task_id: str
    at: datetime

    @property
    def status(self) -> ReviewState:
        status = self.review.status
        if self.row is not None:
            if status == ReviewStatus.WAITING:
                return "circuit_opened" if self.row.is_held_back else "requested"
            if status == ReviewStatus.CLAIMED:
                return "in_review"
            return "recorded" if self.row.outcome else "canceled"
        if self.review.is_open:
            return "in_review" if self.review.holder(self.at) else "requested"
        return "canceled" if status == ReviewStatus.EXPIRED else "recorded"

    @property
    def outcome(self) -> str:
        if self.row is not None:
            return self.row.outcome
        return OUTCOMES.get(self.review.status, "")

    @property
    def reason(self) -> str:
        """Return the reviewer's reason, before it that of the request."""
        if self.row is None:
            return self.review.reason
        return self.row.reason if self.row.outcome else self.row.request_reason

    @property
    def reviewed_by(self) -> tuple[str, str] | None:
        """Return kind and reference of who has decided."""
        if self.row is not None:
            kind, ref = self.row.reviewed_by_kind, self.row.reviewed_by_ref
            return (kind, ref) if kind else None
        if self.status != "recorded":
            return None
        by = self.review.decided_by
        return (DAEMON if by.startswith("system:") else HUMAN, by)

    @property
    def updated_at(self) -> datetime:
        if self.row is not None:
            return self.row.updated_at
        review = self.review
        times = (review.requested_at, review.claimed_at, review.escalated_at, review.decided_at)
        return max(time for time in times if time is not None)


@dataclass(frozen=True, slots=True)
class ReviewQuery:
    """Say which reviews a list has; empty texts restrict nothing."""

    status: str = ""
    reviewer_session_id: str = ""
    limit: int = 500


def task_reviews(
    *, caller: Caller, task_id: str, query: ReviewQuery, at: datetime
) -> list[RunReviewView]:
    """Return the reviews of all runs of a task, the last changed first.

    Raise `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    return _listed(task_of(caller, task_id), None, query, at)


def run_reviews(
    *, caller: Caller, run_id: str, query: ReviewQuery, at: datetime
) -> list[RunReviewView]:
    """Return the reviews of a run, the last changed first. Raise as `task_reviews` does."""
    run = run_of(caller, run_id)
    return _listed(run.task, run.id, query, at)


def run_review(*, caller: Caller, review_id: str, at: datetime) -> RunReviewView:
    """Return a review. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    caller.principal.require(Scope.TASKS_READ)
    try:
        key = UUID(review_id)
    except ValueError:
        raise NotFound("review") from None
    task = Task.objects.visible_to(caller.principal).filter(reviews__id=key).first()
    deleted = TaskDetails.objects.filter(task__reviews__id=key, deleted_at__isnull=False)
    if task is None or deleted.exists():
        raise NotFound("review")
    return next(one for one in _of_task(task, at) if one.review.id == key)


def shown_review(review_id: UUID, *, at: datetime) -> RunReviewView:
    """Return a review of a run, for who has just asked for it or answered it."""
    review = Review.of_runs.get(id=review_id)
    return _views([review], at)[0]


PAGE = 200


def due_reviews(*, at: datetime) -> Iterator[tuple[UUID, UUID]]:
    """Yield active reviews that are to be looked at, with their organisations, the oldest first.

    Page by page: those that are not to be had at once must not hide the others.
    """
    due = RunReview.objects.filter(check_at__lte=at).order_by("check_at", "review_id")
    rest = due
    while True:
        page = list(rest.values_list("check_at", "review_id", "organisation_id")[:PAGE])
        yield from ((review_id, organisation_id) for _, review_id, organisation_id in page)
        if len(page) < PAGE:
            return
        check_at, review_id, _ = page[-1]
        rest = due.filter(Q(check_at__gt=check_at) | Q(check_at=check_at, review_id__gt=review_id))


def _listed(
    task: Task, run_id: UUID | None, query: ReviewQuery, at: datetime
) -> list[RunReviewView]:
    # A task has a few attempts, and each a few reviews.
    found = [
        view
        for view in _of_task(task, at)
        if run_id in (None, view.review.run_id)
        and query.status in ("", view.status)
        and query.reviewer_session_id in ("", _session_of(view))
    ]
    found.sort(key=lambda view: (view.updated_at, view.review.id), reverse=True)
    return found[: query.limit]


def _session_of(view: RunReviewView) -> str:
    return "" if view.row is None else view.row.reviewer_session_id


def _of_task(task: Task, at: datetime) -> list[RunReviewView]:
    ours = Review.of_runs.filter(task_id=task.id)
    return _views([*ours, *Review.objects.filter(task_id=task.id)], at)


def _views(reviews: Sequence[Review], at: datetime) -> list[RunReviewView]:
    rows = RunReview.objects.in_bulk([review.id for review in reviews])
    names = wire_ids({review.task_id for review in reviews})
    return [
        RunReviewView(review, rows.get(review.id), names[review.task_id], at) for review in reviews
    ]
