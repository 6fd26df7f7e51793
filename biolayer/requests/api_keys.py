"""Define the bodies of `/v1/api-keys`."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from biolayer.contract import Model
from biolayer.values import (
    INTEGRAL,
    UNIQUE,
    Identifier,
    Moment,
    NetworkBlock,
    RoleName,
    ScopeName,
    Words,
)

MAX_OVERLAP_SECONDS = 604_800


Scopes = Annotated[list[ScopeName], Field(min_length=1, max_length=50), UNIQUE]
Networks = Annotated[list[NetworkBlock], Field(max_length=50), UNIQUE]


KeyMode = Literal["live", "test"]


class KeyCreation(Model):
    """The body of `POST /v1/api-keys`. A key never gets more than the credential of the call."""

    name: Annotated[Words, Field(max_length=200)]
    # A test key acts in the organisation's sandbox, for every pool of it and for no worker.
    mode: KeyMode = "live"
    scopes: Scopes
    role: RoleName = "editor"
    pool_ids: Annotated[list[Identifier], Field(min_length=1, max_length=50)] | None = None
    worker_id: Identifier | None = None
    allowed_networks: Networks = []
    expires_at: Moment | None = None

    @field_validator("pool_ids", "worker_id")
    @classmethod
    def _of_the_live_side(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("mode") == "test":
            raise PydanticCustomError("not_for_test_keys", "is for live keys only")
        return value

    @field_validator("expires_at")
    @classmethod
    def _in_the_future(cls, value: Moment | None, info: ValidationInfo) -> Moment | None:
        now = (info.context or {}).get("now")
        if value is not None and now is not None and value <= now:
            raise PydanticCustomError("in_the_past", "must be in the future")
        return value


class ApiKeyRotation(Model):
    """Give the key a new secret. The previous one is valid for `overlap_seconds` more."""

    overlap_seconds: Annotated[int, Field(ge=0, le=MAX_OVERLAP_SECONDS), INTEGRAL] = 86_400
