"""Define the bodies of calls on webhook endpoints, test events and recoveries."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from biolayer.contract import OPEN, CallbackAuth, Model, RetryPolicy
from biolayer.events import EVENT_TYPES, KNOWN_PATTERNS, expression_of, pattern_problem
from biolayer.headers import Headers
from biolayer.values import INTEGRAL, Identifier, Moment, Slug, Text

DEFAULT_RATE_PER_MINUTE = 3_000
MAX_RATE_PER_MINUTE = 60_000


def _known_pattern(pattern: str) -> str:
    problem = pattern_problem(pattern)
    if problem is not None:
        raise PydanticCustomError("not_one_of", "{problem}", {"problem": problem})
    return pattern


def _known_type(event_type: str) -> str:
    if event_type not in EVENT_TYPES:
        known = ", ".join(EVENT_TYPES)
        raise PydanticCustomError("not_one_of", "must be one of {known}", {"known": known})
    return event_type


Pattern = Annotated[
    str,
    AfterValidator(_known_pattern),
    Field(json_schema_extra={"pattern": f"^{expression_of(KNOWN_PATTERNS)}$"}),
]
Url = Annotated[Text, Field(min_length=1, max_length=2048)]
Description = Annotated[Text, Field(max_length=500)]
Patterns = Annotated[list[Pattern], Field(min_length=1, max_length=50)]
PoolIds = Annotated[list[Identifier], Field(min_length=1, max_length=50)]
Domains = Annotated[list[Slug], Field(min_length=1, max_length=50)]
Payload = Literal["full", "thin"]
Ordering = Literal["per_task", "none"]
RatePerMinute = Annotated[int, Field(ge=1, le=MAX_RATE_PER_MINUTE), INTEGRAL]
TimeoutSeconds = Annotated[int, Field(ge=1, le=30), INTEGRAL]


class EndpointCreation(Model):
    """The body of `POST /v1/webhook-endpoints`. A null filter admits everything."""

    url: Url
    description: Description = ""
    event_types: Patterns = ["task.*"]
    pool_ids: PoolIds | None = None
    domains: Domains | None = None
    headers: Headers = {}
    auth: CallbackAuth = CallbackAuth()
    payload: Payload = "full"
    ordering: Ordering = "per_task"
    rate_limit_per_minute: RatePerMinute | None = None
    timeout_seconds: TimeoutSeconds = 10
    # None: the service's default schedule.
    retry_policy: RetryPolicy | None = None
    enabled: bool = True


# The default of fields that are absent. It is never read: see `EndpointChange.present`.
_UNCHANGED: Any = None


class EndpointChange(Model):
    """The body of `PATCH /v1/webhook-endpoints/{endpoint_id}`. Absent fields stay as they are.

    `auth` and `headers` are replaced as a whole.
    """

    url: Url = _UNCHANGED
    description: Description = _UNCHANGED
    event_types: Patterns = _UNCHANGED
    pool_ids: PoolIds | None = None
    domains: Domains | None = None
    headers: Headers = _UNCHANGED
    auth: CallbackAuth = _UNCHANGED
    payload: Payload = _UNCHANGED
    ordering: Ordering = _UNCHANGED
    rate_limit_per_minute: RatePerMinute | None = None
    timeout_seconds: TimeoutSeconds = _UNCHANGED
    retry_policy: RetryPolicy | None = None
    enabled: bool = _UNCHANGED

    def present(self) -> dict[str, Any]:
        """Return the fields of the document with their new values; null is a value too."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class TestEvent(Model):
    """The body of `POST /v1/webhook-endpoints/{endpoint_id}/test`."""

    # pytest collects every class of this name as tests.
    __test__ = False

    type: Annotated[
        str, AfterValidator(_known_type), Field(json_schema_extra={"enum": list(EVENT_TYPES)})
    ]


IS_MISSED: dict[str, Any] = {
    "required": ["kind"],
    "properties": {"kind": {"const": "missed"}},
    **OPEN,
}
HAS_ENDPOINT: dict[str, Any] = {
    "required": ["endpoint_id"],
    "properties": {"endpoint_id": {"type": "string"}},
    **OPEN,
}


class RecoveryRequest(Model):
    """The body of `POST /v1/recoveries`: resend what failed, or send what an endpoint missed."""

    model_config = ConfigDict(json_schema_extra={"if": IS_MISSED, "then": HAS_ENDPOINT})

    kind: Literal["failed", "missed"]
    since: Moment
    until: Moment | None = None
    endpoint_id: Identifier | None = Field(default=None, validate_default=True)
    rate_per_minute: RatePerMinute = DEFAULT_RATE_PER_MINUTE

    @field_validator("since")
    @classmethod
    def _in_the_past(cls, since: datetime, info: ValidationInfo) -> datetime:
        now = (info.context or {}).get("now")
        if now is not None and since > now:
            raise PydanticCustomError("in_the_future", "must not be in the future")
        return since

    @field_validator("until")
    @classmethod
    def _after_since(cls, until: datetime | None, info: ValidationInfo) -> datetime | None:
        since = info.data.get("since")
        if until is not None and since is not None and until < since:
            raise PydanticCustomError("before_since", "must not be before `since`")
        return until

    @field_validator("endpoint_id")
    @classmethod
    def _where_missed(cls, endpoint_id: Any, info: ValidationInfo) -> Any:
        # Only an endpoint can have missed events; a callback is created with its task.
        if endpoint_id is None and info.data.get("kind") == "missed":
            raise PydanticCustomError("required", "is needed for this kind")
        return endpoint_id
