"""Define the bodies of calls on appeals."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from biolayer.contract import Model
from biolayer.values import INTEGRAL, Text


def _has_words(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("required", "is required")
    return text


Words = Annotated[Text, Field(max_length=4000), AfterValidator(_has_words)]


class NewAppeal(Model):
    """The body of `POST /v1/reviews/{review_id}/appeal`."""

    reason: Words


class AppealDecision(Model):
    """The body of `POST /v1/appeals/{appeal_id}/decision`."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1), INTEGRAL]
    decision: Literal["uphold", "overturn"]
    reason: Words
    rating: Annotated[int, Field(ge=1, le=5), INTEGRAL] | None = None
    reopen: bool = False

    @field_validator("rating")
    @classmethod
    def _replaces_a_rating(cls, rating: int | None, info: ValidationInfo) -> int | None:
        if rating is not None:
            _require_overturn(info)
        return rating

    @field_validator("reopen")
    @classmethod
    def _follows_an_overturned_verdict(cls, reopen: Any, info: ValidationInfo) -> Any:
        if reopen:
            _require_overturn(info)
        return reopen


def _require_overturn(info: ValidationInfo) -> None:
    if info.data.get("decision") == "uphold":
        raise PydanticCustomError("not_allowed", "only with the decision overturn")
