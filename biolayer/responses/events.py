"""Define the responses about events, the event feed and its consumers."""

from typing import Any

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.events.tasks import StatusName
from biolayer.responses.pages import Page
from biolayer.values import Identifier, Timestamp


class Actor(OpenModel):
    kind: str
    id: str


class Event(OpenModel):
    """One event of a task's log, chained to the previous event by its hash."""

    task_id: Identifier
    sequence: int
    type: str
    timestamp: Timestamp
    status: StatusName
    previous_status: StatusName | None
    actor: Actor
    data: dict[str, Any]
    prev_hash: str
    hash: str


class EventPage(Page):
    data: list[Event]


class FeedItem(Event):
    cursor: str = Field(description="The position after this event.")
    webhook: dict[str, Any] | None = Field(
        default=None, description="With `payload=webhook`: the webhook body of the event."
    )


class FeedPage(Page):
    data: list[FeedItem]
    next_cursor: str = Field(description="The position to continue from. Never null.")
    has_more: bool


class EventConsumer(OpenModel):
    """A named reader of the feed whose position is stored by the service."""

    name: str
    types: list[str] | None = Field(description="Null: all types except silent ones.")
    cursor: str
    lag: int = Field(description="The number of matching events after the consumer's position.")
    lag_is_exact: bool = Field(description="False: the lag is at least that number.")
    created_at: Timestamp
    moved_at: Timestamp


class EventConsumerPage(Page):
    data: list[EventConsumer]
