"""Define the bodies of calls on second looks."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from biolayer.contract import Model
from biolayer.values import Text


class SecondVerdict(Model):
    """The body of `POST /v1/second-looks/{second_look_id}/verdict`."""

    verdict: Literal["approve", "reject"]
    reason: Annotated[Text, Field(max_length=4000, validate_default=True)] = ""

    @field_validator("reason")
    @classmethod
    def _is_given_unless_approved(cls, reason: str, info: ValidationInfo) -> str:
        if info.data.get("verdict") == "reject" and not reason.strip():
            raise PydanticCustomError("required", "is required, unless the output is approved")
        return reason
