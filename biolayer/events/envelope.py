"""Define the shape that all webhook bodies share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from biolayer.values import Identifier, Moment


class OpenModel(BaseModel):
    """A body that the service sends. Known fields are strict; unknown fields are accepted."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")


class Envelope(OpenModel):
    type: str
    timestamp: Annotated[
        Moment, Field(description="When the event happened. The same in every attempt.")
    ]
    data: OpenModel


class MarkedFacts(OpenModel):
    """Facts that say whether they are of a sandbox."""

    sandbox: bool | None = Field(
        default=None,
        description="`true` in events of a sandbox; omitted in all others.",
        examples=[True],
    )


Sequence = Annotated[
    int,
    Field(
        ge=1,
        description="1, 2, 3 … within the task, without gaps. Use it to order the task's events. A"
        " number that does not arrive belongs to an event that you did not subscribe to.",
    ),
]


class ThinFacts(MarkedFacts):
    task_id: Identifier
    sequence: Sequence


class ThinEnvelope(Envelope):
    """The body of a task's event for endpoints with the payload `thin`: the IDs of the event. Get
    the task with `GET /v1/tasks/{task_id}`.
    """

    data: ThinFacts
