"""Define the bodies of calls on reviews."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from biolayer.contract import NO_ITEMS, Model
from biolayer.pointers import SYNTAX, is_pointer
from biolayer.values import INTEGRAL, Identifier, Text

MAX_VERDICTS = 100
MAX_POINTERS = 100


def _as_pointer(text: str) -> str:
    if not is_pointer(text):
        raise PydanticCustomError("pattern", "must be a JSON Pointer such as /notes (RFC 6901)")
    return text


OutputPointer = Annotated[
    Text,
    Field(max_length=1000, json_schema_extra={"pattern": f"^{SYNTAX.pattern}$"}),
    AfterValidator(_as_pointer),
]


class Verdict(Model):
    """The body of `POST /v1/reviews/{review_id}/verdict`."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1), INTEGRAL]
    verdict: Literal["approve", "rework", "reject"]
    reason: Annotated[Text, Field(max_length=4000, validate_default=True)] = ""
    pointers: Annotated[list[OutputPointer], Field(max_length=MAX_POINTERS)] = NO_ITEMS
    rating: Annotated[int, Field(ge=1, le=5), INTEGRAL] | None = None

    @field_validator("reason")
    @classmethod
    def _is_given_unless_approved(cls, reason: str, info: ValidationInfo) -> str:
        if info.data.get("verdict") in ("rework", "reject") and not reason.strip():
            raise PydanticCustomError("required", "is required, unless the output is approved")
        return reason


class ReviewVerdict(Verdict):
    """A verdict of a call with several."""

    review_id: Identifier


def _each_once(verdicts: list[ReviewVerdict]) -> list[ReviewVerdict]:
    if len({verdict.review_id for verdict in verdicts}) < len(verdicts):
        raise PydanticCustomError("duplicate", "must not contain a review twice")
    return verdicts


class Verdicts(Model):
    """The body of `POST /v1/reviews/verdicts`."""

    verdicts: Annotated[
        list[ReviewVerdict],
        Field(min_length=1, max_length=MAX_VERDICTS),
        AfterValidator(_each_once),
    ]
