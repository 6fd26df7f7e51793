"""Define the responses about reviews."""

from typing import Any, Literal

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.responses.pages import Page
from biolayer.responses.problems import Problem
from biolayer.responses.tasks import Task
from biolayer.values import Identifier, Timestamp, Urgency

ReviewStatus = Literal[
    "waiting", "claimed", "approved", "rework", "rejected", "expired", "auto_approved"
]
ReviewCause = Literal["all", "first_tasks", "below_rating", "sample"]


class ReviewedTask(OpenModel):
    """The task of a review in a list."""

    task_id: Identifier
    task_type: str
    domain: str
    title: str
    urgency: Urgency


class Review(OpenModel):
    """A person's check of a submitted output, before its caller sees it."""

    review_id: Identifier
    version: int
    status: ReviewStatus
    task: ReviewedTask
    run_id: Identifier
    attempt: int
    round: int
    worker_id: Identifier = Field(description="Whose work it is.")
    pool_id: Identifier | None = Field(description="The pool by which the worker had the task.")
    cause: ReviewCause
    review_policy: dict[str, Any] = Field(
        description="The policy that applied at the submission: its stated fields."
    )
    requested_at: Timestamp
    due_at: Timestamp | None
    auto_approve_at: Timestamp | None
    escalated_at: Timestamp | None
    claimed_by: str | None
    lease_until: Timestamp | None
    reason: str | None
    pointers: list[str]
    rating: int | None
    decided_by: str | None
    decided_at: Timestamp | None


class PreviousReview(OpenModel):
    """The review before, of the same task."""

    review_id: Identifier
    attempt: int
    status: ReviewStatus
    output: Any
    reason: str | None
    pointers: list[str]


class ReviewDetail(Review):
    """A review with the output, the task's contract, and the review before."""

    output: Any
    evidence_ids: list[Identifier]
    contract: Task
    previous: PreviousReview | None


class ReviewPage(Page):
    data: list[Review]


class VerdictResult(OpenModel):
    """The result of one verdict of several."""

    review_id: Identifier
    status: int = Field(description="200: it is decided. Other: refused, see `problem`.")
    review: Review | None = None
    problem: Problem | None = None


class VerdictResults(OpenModel):
    """The results of several verdicts, in their order."""

    data: list[VerdictResult]
    decided: int
    refused: int
