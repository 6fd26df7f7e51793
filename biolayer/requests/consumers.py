"""Define the bodies of `/v1/event-consumers`."""

from typing import Annotated

from pydantic import Field

from biolayer.contract import Model
from biolayer.events import TASK_PATTERNS, expression_of
from biolayer.values import Text

Cursor = Annotated[Text, Field(min_length=1, max_length=200)]
# What is wrong with another one is said by the service.
Pattern = Annotated[
    Text,
    Field(max_length=40, json_schema_extra={"pattern": f"^{expression_of(TASK_PATTERNS)}$"}),
]


class ConsumerSettings(Model):
    """What a consumer reads, and where a new one starts: `beginning`, `latest`, or a cursor."""

    types: Annotated[list[Pattern], Field(min_length=1, max_length=50)] | None = None
    start: Cursor = "beginning"


class Acknowledgement(Model):
    cursor: Cursor
