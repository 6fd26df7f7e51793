"""Define reviews of runs as this API returns them."""

from typing import Literal

from apps.api.operations.responses import RequiredTime, RunActor, Shape, TaskRun
from apps.operations.selectors import ReviewOutcome, ReviewState

ShownPolicy = Literal["none", "on_success", "on_failure", "always"]


class RunReview(Shape):
    review_id: str
    run_id: str
    task_id: str
    status: ReviewState
    policy: ShownPolicy
    review_round: int
    attempt: int
    requested_at: RequiredTime
    routed_at: RequiredTime
    started_at: RequiredTime
    reviewed_at: RequiredTime
    deadline_at: RequiredTime
    created_at: RequiredTime
    updated_at: RequiredTime
    outcome: ReviewOutcome | None = None
    confidence: float | None = None
    delivery_id: str = ""
    missing_work: list[str] = []
    next_round_guidance: str = ""
    parent_review_id: str = ""
    reason: str = ""
    review_text: str = ""
    reviewed_by: RunActor | None = None
    reviewer_agent_name: str = ""
    reviewer_channel_id: str = ""
    reviewer_peer_id: str = ""
    reviewer_session_id: str = ""


class RunReviewAnswer(Shape):
    review: RunReview


class RunReviewRequestAnswer(Shape):
    created: bool
    review: RunReview


class RunReviewList(Shape):
    reviews: list[RunReview]


class RunVerdictAnswer(Shape):
    review: RunReview
    circuit_opened: bool = False
    continuation_run: TaskRun | None = None
