"""Define the body of an execution profile: who may run a task, and how."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from apps.api.operations.requests import MAX_ITEMS, Body, Name
from apps.operations.services import ProfileFields
from biolayer.errors import Fault, InvalidInput
from biolayer.requests.agents import MAX_CAPABILITY_BYTES

MAX_NAME_BYTES = 128
MAX_GUIDANCE_BYTES = 8192

CoordinatorMode = Literal["inherit", "guided"]
WorkerMode = Literal["inherit", "select"]
SandboxMode = Literal["inherit", "none", "ref"]
RuntimeMode = Literal["default", "evidence"]


def _mode_or(default: str) -> BeforeValidator:
    """Trim a mode and write it in small letters; an empty one is the default."""

    def mode(value: Any) -> Any:
        return value.strip().lower() or default if isinstance(value, str) else value

    return BeforeValidator(mode)


def _name(value: str) -> str:
    if len(value.encode()) > MAX_NAME_BYTES or re.search(r"[\t\r\n]", value):
        text = f"must have at most {MAX_NAME_BYTES} bytes, without a tab or a new line"
        raise PydanticCustomError("invalid", text)
    return value


def _guidance(value: str) -> str:
    if len(value.encode()) > MAX_GUIDANCE_BYTES:
        raise PydanticCustomError("out_of_range", f"must have at most {MAX_GUIDANCE_BYTES} bytes")
    return value


def _capability(value: str) -> str:
    if len(value.encode()) > MAX_CAPABILITY_BYTES or re.search(r"[\s,]", value):
        text = f"must have at most {MAX_CAPABILITY_BYTES} bytes, without spaces and commas"
        raise PydanticCustomError("invalid", text)
    return value


def _in_order(names: list[str]) -> list[str]:
    """Return names without blanks and duplicates, in their order."""
    return sorted({name for name in names if name})


Short = Annotated[Name, AfterValidator(_name)]
Capability = Annotated[Name, AfterValidator(_capability)]
Names = Annotated[list[Short], Field(max_length=MAX_ITEMS), AfterValidator(_in_order)]
CapabilityNames = Annotated[
    list[Capability], Field(max_length=MAX_ITEMS), AfterValidator(_in_order)
]


class CoordinatorBody(Body):
    """Hints for the session that plans the work."""

    mode: Annotated[CoordinatorMode, _mode_or("inherit")] = "inherit"
    agent_name: Short = ""
    guidance: Annotated[Name, AfterValidator(_guidance)] = ""
    model: Short = ""
    provider: Short = ""


class _Chosen(Body):
    """Check that the agent that is named is one of those that are allowed."""

    agent_name: Short = ""
    allowed_agent_names: Names = []

    @model_validator(mode="after")
    def _is_allowed(self) -> Self:
        allowed = self.allowed_agent_names
        if self.agent_name and allowed and self.agent_name not in allowed:
            text = "must be one of allowed_agent_names"
            raise PydanticCustomError("invalid", text)
        return self


class WorkerBody(_Chosen):
    """Which agents may run the task. They count whatever the mode is."""

    mode: Annotated[WorkerMode, _mode_or("inherit")] = "inherit"
    model: Short = ""
    provider: Short = ""
    preferred_agent_names: Names = []
    preferred_capabilities: CapabilityNames = []
    required_capabilities: CapabilityNames = []


class ParticipantsBody(Body):
    """Which agents may take part in the task."""

    allowed_agent_names: Names = []
    allowed_channel_ids: Names = []
    allowed_peer_ids: Names = []
    preferred_agent_names: Names = []
    preferred_capabilities: CapabilityNames = []
    preferred_channel_ids: Names = []
    preferred_peer_ids: Names = []
    required_capabilities: CapabilityNames = []


class ReviewBody(_Chosen):
    """Which agents may review the task's runs."""

    allowed_channel_ids: Names = []
    allowed_peer_ids: Names = []
    model: Short = ""
    preferred_agent_names: Names = []
    preferred_capabilities: CapabilityNames = []
    preferred_channel_ids: Names = []
    preferred_peer_ids: Names = []
    provider: Short = ""
    required_capabilities: CapabilityNames = []


class RuntimeBody(Body):
    """What approvals cover."""

    mode: Annotated[RuntimeMode, _mode_or("default")] = "default"


class SandboxBody(Body):
    """The environment that the run executes in."""

    mode: Annotated[SandboxMode, _mode_or("inherit")] = "inherit"
    sandbox_ref: Short = ""

    @model_validator(mode="after")
    def _names_it(self) -> Self:
        if (self.mode == "ref") != bool(self.sandbox_ref):
            text = "must have sandbox_ref if its mode is ref, and only then"
            raise PydanticCustomError("invalid", text)
        return self


class ProfileBody(Body):
    """The whole profile: what is absent has its default."""

    task_id: Name = ""
    # The service's own: what a caller sends of them is ignored.
    created_at: Any = None
    updated_at: Any = None
    coordinator: CoordinatorBody = CoordinatorBody()
    worker: WorkerBody = WorkerBody()
    participants: ParticipantsBody = ParticipantsBody()
    review: ReviewBody = ReviewBody()
    runtime: RuntimeBody = RuntimeBody()
    sandbox: SandboxBody = SandboxBody()

    def fields(self, task_id: str) -> ProfileFields:
        """Return what the service takes. Raise `InvalidInput` for another task's id."""
        if self.task_id not in ("", task_id):
            raise InvalidInput([Fault("/task_id", "invalid", "must be the task of the path")])
        return ProfileFields(
            document=self.model_dump(exclude={"task_id", "created_at", "updated_at"}),
            worker_agent=self.worker.agent_name,
            worker_agents=self.worker.allowed_agent_names,
            participant_agents=self.participants.allowed_agent_names,
            required_capabilities=_in_order(
                [*self.worker.required_capabilities, *self.participants.required_capabilities]
            ),
            preferred_capabilities=self.worker.preferred_capabilities,
        )
