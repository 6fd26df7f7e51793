"""Define the responses about reviewers, and about second looks at what they approved."""

from typing import Any, Literal

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.responses.pages import Page
from biolayer.responses.reviews import ReviewedTask
from biolayer.responses.tasks import Task
from biolayer.values import Identifier, Timestamp

SecondLookStatus = Literal["waiting", "agreed", "disagreed", "expired"]


class Reviewer(OpenModel):
    """What a reviewer decided in a period."""

    reviewer: str
    decided: int
    approvals: int
    reworks: int
    rejections: int
    active_hours: int
    approvals_per_hour: float
    claimed_approvals: int
    fast_approval_share: float | None
    decided_again: int
    agreement: float | None


class ReviewerPage(Page):
    since: Timestamp = Field(description="From when it counts.")
    until: Timestamp = Field(description="Until when it counts.")
    data: list[Reviewer]


class SecondLook(OpenModel):
    """An approval that another reviewer looks at again."""

    second_look_id: Identifier
    status: SecondLookStatus
    review_id: Identifier
    run_id: Identifier
    task: ReviewedTask
    requested_at: Timestamp
    decided_by: str | None
    decided_at: Timestamp | None
    reason: str | None


class SecondLookDetail(SecondLook):
    """A second look with the output and the task's contract, without the first verdict."""

    output: Any
    contract: Task


class SecondLookPage(Page):
    data: list[SecondLook]
