"""Define the events of appeals. They belong to the log of the task whose review was appealed."""

from typing import Any, Literal

from pydantic import Field

from biolayer.events.envelope import Envelope
from biolayer.events.tasks import TaskFacts
from biolayer.values import Identifier


class AppealFacts(TaskFacts):
    """The fields that all events of an appeal share."""

    appeal_id: Identifier
    review_id: Identifier
    run_id: Identifier
    worker_id: Identifier = Field(description="The worker who appealed.")
    attempt: int = Field(ge=1)
    round: int = Field(ge=1, description="1, 2, 3 …: the reviews of the task.")
    verdict: Literal["rework", "rejected"] = Field(description="The verdict of the review.")
    reason: str | None = Field(default=None, description="The words of who appealed or decided.")
    output: Any = Field(default=None, description="Only where the task is verified already.")


class AppealOpenedFacts(AppealFacts):
    pass


class AppealDecidedFacts(AppealFacts):
    decision: Literal["upheld", "overturned"]
    rating: int | None = Field(
        default=None, ge=1, le=5, description="Of the work, instead of that of the verdict."
    )


class AppealOpened(Envelope):
    """Sent when a worker appeals a verdict by which its work was sent back or rejected; the task
    has moved on since, or has ended. Sent only to receivers that name this type: `*` and `task.*`
    do not include it, and callbacks never get it. Have a manager decide by `POST
    /v1/appeals/{appeal_id}/decision`.
    """

    type: Literal["appeal.opened"]
    data: AppealOpenedFacts


class AppealDecided(Envelope):
    """Sent when a manager has decided on an appeal. If the verdict was overturned, its rating no
    longer counts. Sent only to receivers that name this type: `*` and `task.*` do not include it,
    and callbacks never get it. No action is needed.
    """

    type: Literal["appeal.decided"]
    data: AppealDecidedFacts
