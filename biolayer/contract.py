"""Define the task contract: the body of `POST /v1/tasks`, as frozen models.

`parse` turns a decoded JSON document into a model, or raises `InvalidInput` with one `Fault` for
each problem. Models are strict: nothing is coerced, and an unknown field is a fault, except inside
`context`, which takes any members. The same models give the API its schemas.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError, to_json

from biolayer.errors import Fault, InvalidInput, pointer
from biolayer.headers import AuthHeaderName, HeaderText
from biolayer.reviews import ReviewPolicy
from biolayer.validation import as_faults
from biolayer.values import (
    INTEGRAL,
    Format,
    Identifier,
    Language,
    Moment,
    OfferMode,
    Slug,
    Slugs,
    Text,
    Urgency,
    Words,
)

KIB = 1024
MAX_CONTEXT_BYTES = 64 * KIB
MAX_SCHEMA_BYTES = 32 * KIB
MAX_DEPENDENCIES = 32
MAX_TASKS_PER_BATCH = 500
MAX_DEPTH = 160
"""The maximum nesting of a document: far above real use, far below the limits of parsers."""

Document = Mapping[str, Any]
Check = Callable[[Any], Iterable[Fault]]
"""Yields faults of the raw document that depend on stored data, which the models cannot know."""


def _unique(ids: list[UUID]) -> list[UUID]:
    if len(set(ids)) < len(ids):
        raise PydanticCustomError("duplicate", "must not contain duplicates")
    return ids


# Pydantic copies a default list for each contract by `copy.deepcopy`; a factory costs nothing.
NO_ITEMS: Any = Field(default_factory=list, json_schema_extra={"default": []})
NO_MEMBERS: Any = Field(default_factory=dict)

Notes = Annotated[list[Annotated[Text, Field(max_length=1000)]], Field(max_length=50)]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Origin(Model):
    org_id: Identifier | None = None
    product: Annotated[Text, Field(min_length=1, max_length=100)] = ""
    request_id: Annotated[Words, Field(max_length=200)] | None = None
    created_by: Annotated[Words, Field(max_length=200)] | None = None
    created_at: Moment | None = None


class Context(Model):
    model_config = ConfigDict(extra="allow")

    background: Annotated[Text, Field(max_length=20_000)] = ""
    constraints: Notes = NO_ITEMS
    risk_notes: Notes = NO_ITEMS


class Sla(Model):
    urgency: Urgency = "normal"
    deadline: Moment | None = None
    target_latency_seconds: Annotated[int, Field(ge=1, le=31_536_000), INTEGRAL] | None = None

    @field_validator("deadline")
    @classmethod
    def _in_the_future(cls, deadline: datetime | None, info: ValidationInfo) -> datetime | None:
        now = (info.context or {}).get("now")
        if deadline is not None and now is not None and deadline <= now:
            raise PydanticCustomError("in_the_past", "must be in the future")
        return deadline


class EscalationStep(Model):
    """A change that applies if the task still waits `after_seconds` after it was first queued."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 2})

    after_seconds: Annotated[int, Field(ge=1, le=2_592_000), INTEGRAL]
    drop_preferred_skills: bool = False
    drop_certifications: bool = False
    lower_trust_level_by: Annotated[int, Field(ge=0, le=5), INTEGRAL] = 0
    lower_min_rating_by: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.0
    widen_to_pools: Annotated[list[Identifier], Field(max_length=16)] = NO_ITEMS
    mode: OfferMode | None = None
    broadcast_to: Annotated[int, Field(ge=2, le=50), INTEGRAL] | None = None
    boost_seconds: Annotated[int, Field(ge=0, le=86_400), INTEGRAL] = 0
    notify: bool = False

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_dump(exclude={"after_seconds"}, exclude_defaults=True):
            raise PydanticCustomError("no_effect", "must change something")
        return self


class EscalationPolicy(Model):
    """Steps to take while no worker accepts a task. A task's own policy replaces its pool's."""

    steps: Annotated[list[EscalationStep], Field(max_length=10)] = NO_ITEMS
    # After the last step, if no worker has accepted: keep waiting, fail, or send an event.
    at_end: Literal["wait", "fail", "notify"] = "wait"

    @field_validator("steps")
    @classmethod
    def _in_order(cls, steps: list[EscalationStep]) -> list[EscalationStep]:
        if any(later.after_seconds <= step.after_seconds for step, later in pairwise(steps)):
            raise PydanticCustomError("not_growing", "after_seconds must grow from step to step")
        return steps


def _is_required(skill: str, info: ValidationInfo) -> str:
    if skill not in info.data.get("skills", [skill]):
        raise PydanticCustomError("unknown_skill", "is not one of the required skills")
    return skill


class Requirements(Model):
    skills: Slugs = NO_ITEMS
    skill_levels: dict[
        Annotated[Slug, AfterValidator(_is_required)], Annotated[int, Field(ge=1, le=5), INTEGRAL]
    ] = NO_MEMBERS
    preferred_skills: Slugs = NO_ITEMS
    languages: Annotated[list[Language], Field(max_length=8)] = NO_ITEMS
    certifications: Slugs = NO_ITEMS
    trust_level: Annotated[int, Field(ge=0, le=5), INTEGRAL] = 0
    min_rating: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.0
    worker_pool_id: Identifier | None = None
    # None: the pool's policy.
    escalation: EscalationPolicy | None = None


OPEN: dict[str, Any] = {"additionalProperties": True}
"""Of a condition in a schema: Redocly's validator refuses in it what it does not name."""

NEEDS_NO_SCHEMA: dict[str, Any] = {
    "required": ["expected_format"],
    "properties": {"expected_format": {"enum": ["text", "file"]}},
    **OPEN,
}
HAS_SCHEMA: dict[str, Any] = {
    "required": ["schema"],
    "properties": {"schema": {"type": "object"}},
    **OPEN,
}


class Output(Model):
    model_config = ConfigDict(json_schema_extra={"if": NEEDS_NO_SCHEMA, "else": HAS_SCHEMA})

    expected_format: Format = "structured_json"
    # The underscore avoids pydantic's own attribute `schema`.
    schema_: dict[str, Any] | None = Field(default=None, alias="schema", validate_default=True)
    evidence_required: bool = False

    @field_validator("schema_")
    @classmethod
    def _required_if_structured(
        cls, schema: Document | None, info: ValidationInfo
    ) -> Document | None:
        if schema is None and info.data.get("expected_format") == "structured_json":
            raise PydanticCustomError(
                "required",
                'is required, such as {"notes": "string"}, unless expected_format is text or file',
            )
        return schema


class CallbackAuth(Model):
    """How deliveries authenticate to the receiver's gateway, in addition to their signature."""

    NEEDS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "none": (),
        "bearer": ("token",),
        "basic": ("username", "password"),
        "header": ("name", "value"),
    }

    model_config = ConfigDict(
        json_schema_extra=lambda schema: schema.update(
            _fields_of_types(), examples=[{"type": "bearer", "token": "s3cret-token"}]
        )
    )

    type: Literal["none", "bearer", "basic", "header"] = "none"
    token: HeaderText | None = Field(default=None, validate_default=True)
    username: Annotated[Text, Field(max_length=255, pattern=r"^[^:]*$")] | None = Field(
        default=None, validate_default=True
    )
    password: Annotated[Text, Field(max_length=1024)] | None = Field(
        default=None, validate_default=True
    )
    name: AuthHeaderName | None = Field(default=None, validate_default=True)
    value: HeaderText | None = Field(default=None, validate_default=True)

    @field_validator("token", "username", "password", "name", "value")
    @classmethod
    def _belongs_to_type(cls, value: str | None, info: ValidationInfo) -> str | None:
        kind = info.data.get("type")
        if kind is None:
            return value
        is_required = info.field_name in cls.NEEDS[kind]
        if is_required and value is None:
            raise PydanticCustomError("required", "is required for this type")
        if value is not None and not is_required:
            raise PydanticCustomError("unknown_field", "does not belong to this type")
        return value

    def redacted(self) -> dict[str, str]:
        """Return the type, and `redacted` for each other field: all of them are credentials."""
        return {"type": self.type} | dict.fromkeys(self.NEEDS[self.type], "redacted")


def _fields_of_types() -> dict[str, Any]:
    """Return conditions for a schema: the fields that a type needs, and that others are null."""
    needs = CallbackAuth.NEEDS
    fields = [name for names in needs.values() for name in names]
    conditions: dict[str, Any] = {}
    for kind, own in needs.items():
        types = {name: {"type": "string" if name in own else "null"} for name in fields}
        result = {"required": list(own), "properties": types, **OPEN}
        is_kind = {"required": ["type"], "properties": {"type": {"const": kind}}, **OPEN}
        conditions = {"if": is_kind, "then": result, "else": conditions} if conditions else result
    return conditions


class RetryPolicy(Model):
    max_retries: Annotated[int, Field(ge=0, le=20), INTEGRAL] = 8
    backoff_seconds: Annotated[int, Field(ge=1, le=3600), INTEGRAL] = 30


class Handoff(Model):
    callback_url: Annotated[Text, Field(min_length=1, max_length=2048)] | None = None
    callback_auth: CallbackAuth = CallbackAuth()
    # None: the service's default schedule.
    retry_policy: RetryPolicy | None = None


class Audit(Model):
    log_required: bool = False
    retain_days: Annotated[int, Field(ge=1, le=3650), INTEGRAL] | None = None


class TaskContract(Model):
    """The body of `POST /v1/tasks`."""

    # Without an output there is no schema, which the default format requires.
    model_config = ConfigDict(json_schema_extra=lambda schema: schema["required"].append("output"))

    origin: Origin = Origin()
    task_type: Slug
    domain: Slug
    title: Annotated[Words, Field(max_length=200)]
    instructions: Annotated[Words, Field(max_length=20_000)]
    context: Context = Context()
    sla: Sla = Sla()
    requirements: Requirements = Requirements()
    # None: the pool's policy.
    review: ReviewPolicy | None = None
    # A missing output is validated like an empty one, so that its schema is reported missing.
    output: Output = Field(default={}, validate_default=True)
    handoff: Handoff = Handoff()
    audit: Audit = Audit()
    # Tasks that must be completed before this one is queued.
    depends_on: Annotated[
        list[Identifier],
        Field(max_length=MAX_DEPENDENCIES, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_unique),
    ] = NO_ITEMS


class TaskContracts(
    RootModel[Annotated[list[TaskContract], Field(min_length=1, max_length=MAX_TASKS_PER_BATCH)]]
):
    """The body of `POST /v1/tasks/batch`."""


M = TypeVar("M", bound=Model)


def parse(
    model: type[M], document: Any, *, now: datetime | None = None, checks: Sequence[Check] = ()
) -> M:
    """Return `document` as a `model`.

    Raise `InvalidInput` with every fault that the model and `checks` find. `now` decides which
    times are in the past.
    """
    faults: list[Fault] = []
    parsed: M | None = None
    try:
        parsed = model.model_validate(document, context={"now": now})
    except ValidationError as error:
        faults += as_faults(error)
    for check in checks:
        faults += check(document)
    if faults or parsed is None:
        raise InvalidInput(list(dict.fromkeys(faults)))
    return parsed


def parse_task(document: Any, *, now: datetime, checks: Sequence[Check] = ()) -> TaskContract:
    """Return the contract of a new task. Raise `InvalidInput`. A deadline must be after `now`."""
    return parse(TaskContract, document, now=now, checks=[free_json_faults, *checks])


def free_json_faults(document: Any) -> Iterable[Fault]:
    """Yield the faults of `context` and `output.schema`: too large, or with a NUL."""
    for path, limit in (("context",), MAX_CONTEXT_BYTES), (("output", "schema"), MAX_SCHEMA_BYTES):
        yield from json_faults(dig(document, *path), path, limit)


def json_faults(value: Any, path: Sequence[str], limit: int) -> Iterable[Fault]:
    """Yield the faults of a JSON value at `path`: over `limit` bytes, or a NUL in a text or key."""
    encoded = to_json(value)
    if len(encoded) > limit:
        yield Fault(pointer(*path), "too_large", f"must be at most {limit} bytes of JSON")
    if b"\\u0000" in encoded:
        yield from nul_faults(value, path)


def nul_faults(value: Any, path: Sequence[str | int]) -> Iterable[Fault]:
    """Yield a fault for each U+0000 in a JSON value: PostgreSQL cannot store that character."""
    pending: list[tuple[tuple[str | int, ...], Any]] = [(tuple(path), value)]
    while pending:
        place, item = pending.pop()
        if isinstance(item, str) and "\x00" in item:
            yield Fault(pointer(*place), "nul_character", "must not contain the character U+0000")
        elif isinstance(item, dict):
            pending += [((*place, key), child) for key, child in item.items()]
            pending += [((*place, key), key) for key in item if "\x00" in key]
        elif isinstance(item, list):
            pending += [((*place, index), child) for index, child in enumerate(item)]


def depth_of(value: Any) -> int:
    """Return the maximum nesting of objects and arrays in a value; 0 for a scalar."""
    deepest = 0
    pending = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, dict | list):
            deepest = max(deepest, depth + 1)
            children = item.values() if isinstance(item, dict) else item
            pending += [(child, depth + 1) for child in children]
    return deepest


def is_same_json(one: Any, other: Any) -> bool:
    """Return whether two values are equal in JSON Schema's sense: 1 equals 1.0, true is not 1.

    Source: JSON Schema Core 2020-12, section 4.2.2.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same_json(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same_json, one, other))
    return bool(one == other)


def dig(document: Any, *path: str) -> Any:
    """Return the value at `path`; None if the path does not exist."""
    for key in path:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document
