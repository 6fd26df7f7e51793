"""The wire, once: what a caller may send, as frozen models that name every fault at once.

`parse` turns a decoded JSON document into a model or raises `InvalidInput` with one `Fault` for
each problem. Models are strict: nothing is coerced, and an unknown field is a fault, except inside
`context`, which is the caller's own space. The same models give the API its schemas.
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
MAX_EVIDENCE_PER_RUN = 20
MAX_DEPENDENCIES = 32
MAX_DEPTH = 160
"""How deep any document may nest: far above what people write, far below what parsers stumble on."""

Document = Mapping[str, Any]
Check = Callable[[Any], Iterable[Fault]]
"""A look at the raw document for faults that the models cannot know: the world's, not the form's."""


def _no_twins(ids: list[UUID]) -> list[UUID]:
    if len(set(ids)) < len(ids):
        raise PydanticCustomError("duplicate", "must not name one twice")
    return ids


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
    constraints: Notes = []
    risk_notes: Notes = []


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
    """What changes for a task that still waits `after_seconds` after it was first queued."""

    after_seconds: Annotated[int, Field(ge=1, le=2_592_000), INTEGRAL]
    drop_preferred_skills: bool = False
    drop_certifications: bool = False
    lower_trust_level_by: Annotated[int, Field(ge=0, le=5), INTEGRAL] = 0
    lower_min_rating_by: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.0
    widen_to_pools: Annotated[list[Identifier], Field(max_length=16)] = []
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
    """What is done, step by step, when nobody takes a task. A task's own or its pool's."""

    steps: Annotated[list[EscalationStep], Field(max_length=10)] = []
    # When the last step was taken and still nobody does: go on waiting, give up, or say so.
    at_end: Literal["wait", "fail", "notify"] = "wait"

    @field_validator("steps")
    @classmethod
    def _one_after_another(cls, steps: list[EscalationStep]) -> list[EscalationStep]:
        if any(later.after_seconds <= step.after_seconds for step, later in pairwise(steps)):
            raise PydanticCustomError("not_growing", "after_seconds must grow from step to step")
        return steps


def _is_asked_for(skill: str, info: ValidationInfo) -> str:
    if skill not in info.data.get("skills", [skill]):
        raise PydanticCustomError("unknown_skill", "is none of the skills asked for")
    return skill


class Requirements(Model):
    skills: Slugs = []
    skill_levels: dict[
        Annotated[Slug, AfterValidator(_is_asked_for)], Annotated[int, Field(ge=1, le=5), INTEGRAL]
    ] = {}
    preferred_skills: Slugs = []
    languages: Annotated[list[Language], Field(max_length=8)] = []
    certifications: Slugs = []
    trust_level: Annotated[int, Field(ge=0, le=5), INTEGRAL] = 0
    min_rating: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.0
    worker_pool_id: Identifier | None = None
    # None: the pool's policy.
    escalation: EscalationPolicy | None = None


class Output(Model):
    expected_format: Format = "structured_json"
    # Named with an underscore because pydantic's own `schema` stands in the way; on the wire: schema.
    schema_: dict[str, Any] | None = Field(default=None, alias="schema", validate_default=True)
    evidence_required: bool = False

    @field_validator("schema_")
    @classmethod
    def _where_structured(cls, schema: Document | None, info: ValidationInfo) -> Document | None:
        if schema is None and info.data.get("expected_format") == "structured_json":
            raise PydanticCustomError(
                "required",
                'is needed, such as {"notes": "string"}, unless expected_format is text or file',
            )
        return schema


class CallbackAuth(Model):
    """How the callback proves to the receiver's gateway who calls, beside the signature."""

    NEEDS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "none": (),
        "bearer": ("token",),
        "basic": ("username", "password"),
        "header": ("name", "value"),
    }

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
    def _fits_the_type(cls, value: str | None, info: ValidationInfo) -> str | None:
        kind = info.data.get("type")
        if kind is None:
            return value
        needed = info.field_name in cls.NEEDS[kind]
        if needed and value is None:
            raise PydanticCustomError("required", "is needed for this type")
        if value is not None and not needed:
            raise PydanticCustomError("unknown_field", "does not belong to this type")
        return value

    def redacted(self) -> dict[str, str]:
        """Return what may be shown again: the type. All else is a secret, or half of one."""
        return {"type": self.type} | dict.fromkeys(self.NEEDS[self.type], "redacted")


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

    # An output that is left out lacks its schema, so that it is needed in any case.
    model_config = ConfigDict(json_schema_extra=lambda schema: schema["required"].append("output"))

    origin: Origin = Origin()
    task_type: Slug
    domain: Slug
    title: Annotated[Words, Field(max_length=200)]
    instructions: Annotated[Words, Field(max_length=20_000)]
    context: Context = Context()
    sla: Sla = Sla()
    requirements: Requirements = Requirements()
    # An output that is left out is looked at like an empty one: its schema is missing.
    output: Output = Field(default={}, validate_default=True)
    handoff: Handoff = Handoff()
    audit: Audit = Audit()
    # Tasks that must be completed before this one is queued.
    depends_on: Annotated[
        list[Identifier],
        Field(max_length=MAX_DEPENDENCIES, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_no_twins),
    ] = []


class TaskContracts(RootModel[Annotated[list[TaskContract], Field(min_length=1, max_length=500)]]):
    """The body of `POST /v1/tasks/batch`."""


class Cancellation(Model):
    reason: Annotated[Text, Field(max_length=1000)] = ""


class Decline(Model):
    reason: Annotated[Text, Field(max_length=1000)] = ""


class RunCall(Model):
    """A call on a run one holds. `epoch` is the fence: it was given with the lease."""

    epoch: Annotated[int, Field(ge=1, le=2**31 - 1), INTEGRAL]


class Release(RunCall):
    reason: Annotated[Text, Field(max_length=1000)] = ""


class Heartbeat(RunCall):
    lease_seconds: Annotated[int, Field(ge=1, le=86_400), INTEGRAL] | None = None


class Submission(RunCall):
    output: Any = None
    evidence: Annotated[list[Identifier], Field(max_length=MAX_EVIDENCE_PER_RUN)] = []


class KeyRotation(Model):
    """A new signing key; the one before it signs along for `overlap_seconds` more."""

    kind: Literal["v1", "v1a"]
    overlap_seconds: Annotated[int, Field(ge=0, le=604_800), INTEGRAL] = 86_400


M = TypeVar("M", bound=Model)


def parse(
    model: type[M], document: Any, *, now: datetime | None = None, checks: Sequence[Check] = ()
) -> M:
    """`document` as a `model`, or `InvalidInput` with every fault that the form and `checks` find."""
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
    """The contract of a new task. `now` decides what counts as a future deadline."""
    return parse(TaskContract, document, now=now, checks=[free_json_faults, *checks])


def free_json_faults(document: Any) -> Iterable[Fault]:
    """Faults of the two places where any JSON may stand: too large, or not storable."""
    for path, limit in (("context",), MAX_CONTEXT_BYTES), (("output", "schema"), MAX_SCHEMA_BYTES):
        yield from json_faults(dig(document, *path), path, limit)


def json_faults(value: Any, path: Sequence[str], limit: int) -> Iterable[Fault]:
    """Faults of a free JSON value at `path`: more than `limit` bytes, or a NUL in a string or key."""
    encoded = to_json(value)
    if len(encoded) > limit:
        yield Fault(pointer(*path), "too_large", f"must be at most {limit} bytes of JSON")
    if b"\\u0000" in encoded:
        yield from nul_faults(value, path)


def nul_faults(value: Any, path: Sequence[str | int]) -> Iterable[Fault]:
    """Where a free JSON value holds the one character that PostgreSQL cannot store."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [(tuple(path), value)]
    while waiting:
        place, item = waiting.pop()
        if isinstance(item, str) and "\x00" in item:
            yield Fault(pointer(*place), "nul_character", "must not contain the character U+0000")
        elif isinstance(item, dict):
            waiting += [((*place, key), child) for key, child in item.items()]
            waiting += [((*place, key), key) for key in item if "\x00" in key]
        elif isinstance(item, list):
            waiting += [((*place, index), child) for index, child in enumerate(item)]


def depth_of(value: Any) -> int:
    """How many objects and arrays are inside each other, at most; 0 for a plain value."""
    deepest = 0
    waiting = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, dict | list):
            deepest = max(deepest, depth + 1)
            children = item.values() if isinstance(item, dict) else item
            waiting += [(child, depth + 1) for child in children]
    return deepest


def is_same_json(one: Any, other: Any) -> bool:
    """Return whether two values are the same in JSON Schema's sense: 1 is 1.0, and true is not 1.

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
    """The value at `path`, or None where the document does not go that deep."""
    for key in path:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document
