"""Define the responses about legal holds."""

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.responses.pages import Page
from biolayer.values import Identifier, Timestamp


class LegalHold(OpenModel):
    """A hold: the content of its task is not deleted until it is released."""

    hold_id: Identifier
    task_id: Identifier | None = Field(description="Null: all tasks of the organisation.")
    reason: str
    placed_by: str
    placed_at: Timestamp
    released_by: str | None
    released_at: Timestamp | None


class LegalHoldPage(Page):
    data: list[LegalHold]
