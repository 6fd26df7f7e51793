"""The form that every webhook's body has."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from biolayer.values import Identifier, Moment


class OpenModel(BaseModel):
    """What we send. Strict about what it names, and open: a field that comes later is let through."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")


class Envelope(OpenModel):
    type: str
    timestamp: Annotated[Moment, Field(description="When it happened; the same at every attempt.")]
    data: OpenModel


Sequence = Annotated[
    int,
    Field(
        ge=1,
        description="1, 2, 3 … within the task, without a gap: order its events by it. One that does"
        " not come was not asked for.",
    ),
]


class ThinFacts(OpenModel):
    task_id: Identifier
    sequence: Sequence


class ThinEnvelope(Envelope):
    """What an endpoint with the payload `thin` gets of a task's event: that it happened, and to which
    task. Read the rest with `GET /v1/tasks/{task_id}`.
    """

    data: ThinFacts
