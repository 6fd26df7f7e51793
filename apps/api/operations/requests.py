"""Define the bodies of this API's calls.

Unknown fields are ignored, texts are trimmed, null is as good as absent, and no body is `{}`.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError, to_json

from biolayer.contract import Model, nul_faults
from biolayer.errors import Fault, InvalidInput, TooLarge, pointer
from biolayer.requests.agents import Capabilities
from biolayer.values import INTEGRAL

DEFAULT_LEASE_SECONDS, MAX_LEASE_SECONDS = 300, 86_400
MAX_RESULT_BYTES = MAX_PAYLOAD_BYTES = 64 * 1024
MAX_ITEMS = 500
"""Of a list."""
CLAIM_TOKEN_KEY = "claim_token"  # noqa: S105 - the name of a key


class Body(Model):
    """The body of a call."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            raise PydanticCustomError("invalid_type", "must be an object")
        return {name: value for name, value in document.items() if value is not None}


def _lease(value: Any) -> Any:
    return DEFAULT_LEASE_SECONDS if type(value) is int and value == 0 else value


LeaseSeconds = Annotated[int, Field(ge=1, le=MAX_LEASE_SECONDS), INTEGRAL, BeforeValidator(_lease)]


Name = Annotated[str, Field(pattern=r"^[^\x00]*$")]


class ClaimNextBody(Body):
    """What a session offers and asks for."""

    workspace_id: Name = ""
    required_capabilities: Capabilities = []
    priority_min: Annotated[int, Field(ge=0, le=2**31 - 1), INTEGRAL] = 0
    lease_seconds: LeaseSeconds = DEFAULT_LEASE_SECONDS
    wait: bool = False
    idempotency_key: Annotated[Name, Field(max_length=255)] = ""


class HeartbeatBody(Body):
    """How long the lease lasts from now; 0 or nothing is 300 seconds."""

    lease_seconds: LeaseSeconds = DEFAULT_LEASE_SECONDS


class CompleteBody(Body):
    """What the session has made of the task."""

    result: Any = None


class FailBody(Body):
    """Why the session cannot do the task."""

    error: Annotated[Name, Field(min_length=1, max_length=4096)]
    metadata: Any = None


class ReleaseBody(Body):
    """Why the session gives the run back."""

    reason: Annotated[Name, Field(max_length=1000)] = ""


def check_no_token(value: Any, *, name: str) -> None:
    """Raise `InvalidInput` where a JSON value has the key `claim_token`, at any depth."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if any(key.strip().lower() == CLAIM_TOKEN_KEY for key in item):
                text = f"must not have the key {CLAIM_TOKEN_KEY}"
                raise InvalidInput([Fault(pointer(name), "claim_token", text)])
            pending += item.values()
        elif isinstance(item, list):
            pending += item


def check_payload(value: Any, *, name: str, limit: int) -> None:
    """Raise `TooLarge` for JSON of more than `limit` bytes, `InvalidInput` for a NUL in it."""
    if value is None:
        return
    if len(to_json(value)) > limit:
        raise TooLarge(f"`{name}` may have at most {limit} bytes of JSON.")
    faults = list(nul_faults(value, [name]))
    if faults:
        raise InvalidInput(faults)


def limit_of(text: str) -> int:
    """Return the length of a list: `MAX_ITEMS` for nothing or 0. Raise `InvalidInput`."""
    value = text.strip() or "0"
    if not (value.isascii() and value.isdigit()):
        raise InvalidInput([Fault("/limit", "invalid", "must be a number, not negative")])
    return min(int(value.lstrip("0")[:9] or 0) or MAX_ITEMS, MAX_ITEMS)
