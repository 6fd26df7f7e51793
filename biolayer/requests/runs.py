"""Define the bodies of calls on a run."""

from typing import Annotated, Any

from pydantic import Field

from biolayer.contract import Model
from biolayer.values import INTEGRAL, CannotDo, Identifier, Text

MAX_EVIDENCE_PER_RUN = 20
MAX_EPOCH = 2**31 - 1
MAX_DRAFT_BYTES = 512 * 1024
"""Of a draft's `output` and `form` together, as JSON."""


class RunCall(Model):
    """A call on a run that the worker holds. `epoch` is the fencing token of its lease."""

    epoch: Annotated[int, Field(ge=1, le=MAX_EPOCH), INTEGRAL]


class Release(RunCall):
    reason: Annotated[Text, Field(max_length=1000)] = ""
    code: Annotated[CannotDo, Field(strict=False)] | None = None


class Heartbeat(RunCall):
    lease_seconds: Annotated[int, Field(ge=1, le=86_400), INTEGRAL] | None = None


class Submission(RunCall):
    output: Any = None
    evidence: Annotated[list[Identifier], Field(max_length=MAX_EVIDENCE_PER_RUN)] = []


class DraftSave(RunCall):
    """A draft of a run's output, which need not be valid.

    `revision` is the one that it replaces, 0 for the first.
    """

    revision: Annotated[int, Field(ge=0, le=MAX_EPOCH - 1), INTEGRAL]
    output: Any = None
    form: dict[str, list[str]] | None = None
