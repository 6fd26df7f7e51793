"""Define the body that places a legal hold."""

from typing import Annotated

from pydantic import Field

from biolayer.contract import Model
from biolayer.values import Identifier, Text


class NewLegalHold(Model):
    """Hold the content of a task, or of all tasks of the organisation."""

    task_id: Identifier | None = None
    reason: Annotated[Text, Field(min_length=1, max_length=1000)]
