"""Define the responses about messages."""

from typing import Literal

from biolayer.events.envelope import OpenModel
from biolayer.responses.pages import Page
from biolayer.values import Identifier, Timestamp


class Message(OpenModel):
    """A message between a task's caller and a worker that has or had it."""

    message_id: Identifier
    task_id: Identifier
    author_kind: Literal["requester", "worker"]
    author_name: str
    text: str
    created_at: Timestamp


class MessagePage(Page):
    data: list[Message]
