"""Define the bodies of calls on tasks. See `requests.Body` for what they have in common."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from apps.api.operations.projections import (
    URGENCY_OF,
    ApprovalPolicy,
    OwnerKind,
    Priority,
)
from apps.api.operations.requests import (
    MAX_PAYLOAD_BYTES,
    Body,
    Name,
    check_no_token,
    check_payload,
)
from apps.operations.projection import Scope
from apps.operations.services import RunRequest, TaskChanges, TaskFields
from biolayer.errors import Fault, InvalidInput
from biolayer.values import INTEGRAL

MAX_METADATA_BYTES = 16 * 1024


def _enum(value: Any) -> Any:
    """Return the value of an enumeration, which may have spaces around it and capital letters."""
    return value.strip().lower() if isinstance(value, str) else value


LOWER = BeforeValidator(_enum)
Channel = Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9_-]{0,63})?$")]
Title = Annotated[Name, Field(min_length=1, max_length=200)]
Description = Annotated[Name, Field(max_length=100_000)]
Key = Annotated[Name, Field(max_length=255)]
Attempts = Annotated[int, Field(ge=1, le=10), INTEGRAL]
Reason = Annotated[Name, Field(max_length=4096)]


def _own_id(value: str) -> str:
    """Return an id that its creator chose. A UUID is the id of a task of another API."""
    if value in (".", ".."):
        raise PydanticCustomError("invalid", "must not be a path")
    try:
        UUID(value)
    except ValueError:
        return value
    raise PydanticCustomError("invalid", "must not be a UUID")


TaskId = Annotated[
    str,
    Field(max_length=200, pattern=r"^([\x21-\x2e\x30-\x7e]+)?$"),
    AfterValidator(_own_id),
]
"""Visible characters of ASCII but the slash, which a path cannot have; empty: none."""


class OwnerBody(Body):
    """Who is to do the task."""

    kind: Annotated[OwnerKind, LOWER]
    ref: Annotated[Name, Field(min_length=1, max_length=255)]


class NewTaskBody(Body):
    """A task: of a workspace, or global."""

    scope: Annotated[Scope, LOWER]
    title: Title
    id: TaskId = ""
    identifier: Annotated[Name, Field(max_length=200)] = ""
    workspace: Annotated[Name, Field(max_length=200)] = ""
    description: Description = ""
    priority: Annotated[Priority, LOWER] = "medium"
    max_attempts: Attempts = 3
    network_channel: Channel = ""
    approval_policy: Annotated[ApprovalPolicy, LOWER] = "none"
    owner: OwnerBody | None = None
    auto_enqueue_on_ready: bool = False
    draft: bool = False
    metadata: Any = None

    def fields(self) -> TaskFields:
        """Return what the service takes. Raise `InvalidInput`, `TooLarge` for the metadata."""
        check_metadata(self.metadata)
        return TaskFields(
            scope=self.scope,
            title=self.title,
            id=self.id,
            identifier=self.identifier,
            workspace=self.workspace,
            description=self.description,
            urgency=URGENCY_OF[self.priority],
            max_attempts=self.max_attempts,
            network_channel=self.network_channel,
            approval_policy=self.approval_policy,
            owner_kind="" if self.owner is None else self.owner.kind,
            owner_ref="" if self.owner is None else self.owner.ref,
            auto_enqueue_on_ready=self.auto_enqueue_on_ready,
            draft=self.draft,
            metadata=self.metadata,
        )


class TaskPatchBody(Body):
    """The new values of a task; what is absent stays."""

    title: Title | None = None
    description: Description | None = None
    priority: Annotated[Priority, LOWER] | None = None
    max_attempts: Attempts | None = None
    auto_enqueue_on_ready: bool | None = None
    approval_policy: Annotated[ApprovalPolicy, LOWER] | None = None
    network_channel: Channel | None = None
    metadata: Any = None
    owner: OwnerBody | None = None
    clear_owner: bool = False

    def changes(self) -> TaskChanges:
        """Return what the service takes. Raise `InvalidInput`, `TooLarge` for the metadata."""
        check_metadata(self.metadata)
        if self.clear_owner and self.owner is not None:
            raise InvalidInput([Fault("/clear_owner", "invalid", "excludes owner")])
        values = self.model_dump(exclude={"priority", "owner", "clear_owner"})
        values["urgency"] = None if self.priority is None else URGENCY_OF[self.priority]
        if self.owner is not None or self.clear_owner:
            values["owner_kind"] = "" if self.owner is None else self.owner.kind
            values["owner_ref"] = "" if self.owner is None else self.owner.ref
        given = {name: value for name, value in values.items() if value is not None}
        if not given:
            raise InvalidInput([Fault("", "empty", "must have a field to change")])
        return TaskChanges(given)


class RunRequestBody(Body):
    """What a call says of the run that it queues."""

    idempotency_key: Key = ""
    network_channel: Channel = ""
    metadata: Any = None

    def request(self) -> RunRequest:
        """Return what the service takes. Raise `InvalidInput`, `TooLarge` for the metadata."""
        check_metadata(self.metadata)
        return RunRequest(self.idempotency_key, self.network_channel, self.metadata)


class CancelBody(Body):
    """Why it is canceled."""

    reason: Annotated[Name, Field(max_length=1000)] = ""
    metadata: Any = None

    def check(self) -> None:
        """Raise `InvalidInput`, `TooLarge` for the metadata, which the log keeps."""
        check_payload(self.metadata, name="metadata", limit=MAX_PAYLOAD_BYTES)


class DependencyBody(Body):
    """The task that is to be completed first."""

    depends_on_task_id: Annotated[Name, Field(min_length=1, max_length=200)]
    kind: Annotated[str, LOWER, Field(pattern="^(blocks)?$")] = "blocks"


class PauseBody(Body):
    """Why the task is paused. The reason is required."""

    reason: Reason = ""
    metadata: Any = None


class ResumeBody(Body):
    """What the log keeps of the call."""

    metadata: Any = None


def check_metadata(value: Any) -> None:
    """Raise `InvalidInput` for a claim token in it, `TooLarge` for more than 16 KiB of JSON."""
    check_payload(value, name="metadata", limit=MAX_METADATA_BYTES)
    check_no_token(value, name="metadata")
