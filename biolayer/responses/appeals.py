"""Define the responses about appeals."""

from typing import Literal

from biolayer.events.envelope import OpenModel
from biolayer.responses.pages import Page
from biolayer.responses.reviews import Review
from biolayer.values import Identifier, Timestamp

AppealStatus = Literal["open", "upheld", "overturned", "expired"]


class Appeal(OpenModel):
    """A worker's appeal of a verdict, with the review, for a manager to decide."""

    appeal_id: Identifier
    version: int
    status: AppealStatus
    review: Review
    reason: str | None
    opened_at: Timestamp
    decided_by: str | None
    decided_at: Timestamp | None
    decision_reason: str | None
    rating: int | None


class AppealPage(Page):
    data: list[Appeal]


class OwnAppeal(OpenModel):
    """An appeal as its worker sees it."""

    appeal_id: Identifier
    review_id: Identifier
    status: AppealStatus
    reason: str | None
    opened_at: Timestamp
    decided_at: Timestamp | None
    decision_reason: str | None
    rating: int | None


class OwnVerdict(OpenModel):
    """A verdict by which a worker's output was sent back or rejected, as the worker sees it."""

    review_id: Identifier
    status: Literal["rework", "rejected"]
    reason: str | None
    pointers: list[str]
    rating: int | None
    decided_at: Timestamp
    appeal_until: Timestamp | None
    appeal: OwnAppeal | None
