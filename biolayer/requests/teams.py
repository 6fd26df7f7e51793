"""Define the bodies of calls on teams and their tasks."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from biolayer.contract import Model
from biolayer.requests.pools import Change, Description, Name
from biolayer.reviews import ROLES
from biolayer.values import INTEGRAL, Identifier, Moment, Text, Words

DEFAULT_CADENCE_MINUTES = 30
MAX_CADENCE_MINUTES = 366 * 24 * 60

TeamStatus = Literal["active", "paused", "archived"]
Priority = Literal["LOW", "NORMAL", "HIGH", "CRITICAL"]


def _known_role(role: str) -> str:
    if role.lower() not in ROLES:
        names = ", ".join(name.upper() for name in ROLES)
        raise PydanticCustomError("not_one_of", f"must be one of {names}, in any case")
    return role


def _any_case(words: tuple[str, ...]) -> str:
    """Return a regular expression for the words in any case, as ECMA-262 has it."""
    letters = ("".join(f"[{letter.upper()}{letter}]" for letter in word) for word in words)
    return f"^({'|'.join(letters)})$"


def _default_for_zero(minutes: int) -> int:
    return minutes or DEFAULT_CADENCE_MINUTES


RequiredRole = Annotated[
    str,
    AfterValidator(_known_role),
    WithJsonSchema({"type": "string", "pattern": _any_case(ROLES)}),
]
CadenceMinutes = Annotated[
    int, Field(ge=0, le=MAX_CADENCE_MINUTES), INTEGRAL, AfterValidator(_default_for_zero)
]
_UNCHANGED: Any = None
"""A placeholder for a field that was not sent. It is never read: see `Change.sent_fields`."""


class ApprovalPolicy(Model):
    """Who approves what a team proposes. Other keys are stored, and mean nothing to us."""

    model_config = ConfigDict(extra="allow")

    required_role: RequiredRole = _UNCHANGED
    notify_on_proposal: bool = _UNCHANGED
    auto_approve_after_hours: Annotated[int, Field(ge=1, le=8760), INTEGRAL] = _UNCHANGED

    def stored(self) -> dict[str, Any]:
        """Return the policy as JSON: all that was sent, and nothing else."""
        return self.model_dump(mode="json", exclude_unset=True)


class TeamCreation(Model):
    """The body of `POST /api/v1/team-workspace/teams`."""

    name: Name
    description: Description = ""
    cadence_minutes: CadenceMinutes = DEFAULT_CADENCE_MINUTES
    approval_policy: ApprovalPolicy = ApprovalPolicy()


class TeamChange(Change):
    """The body of `PATCH …/teams/{team_id}`. Fields that are not sent keep their values."""

    name: Name = _UNCHANGED
    description: Description = _UNCHANGED
    status: TeamStatus = _UNCHANGED
    cadence_minutes: CadenceMinutes = _UNCHANGED
    approval_policy: ApprovalPolicy = _UNCHANGED


class TeamTaskCreation(Model):
    """The body of `POST /api/v1/team-workspace/tasks`."""

    team_id: Identifier
    title: Annotated[Words, Field(max_length=200)]
    priority: Priority = "NORMAL"
    input_context: dict[str, Any] = {}
    requires_approval: bool = False
    due_at: Moment | None = None


Version = Annotated[int, Field(ge=1, le=2**31 - 1), INTEGRAL]


class Approval(Model):
    """The body of `POST …/tasks/{task_id}/approve`."""

    # That of the open review, as /v1 shows it: another one is refused. None: any.
    version: Version | None = None


class Rejection(Approval):
    """The body of `POST …/tasks/{task_id}/reject`."""

    reason: Annotated[Words, Field(max_length=4000)]


class TeamTaskCancellation(Model):
    """The body of `POST …/tasks/{task_id}/cancel`."""

    reason: Annotated[Text, Field(max_length=1000)] = ""
