"""Define the responses of the team workspace. Their fields and order are those of its reference."""

from typing import Annotated, Any, Literal

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.requests.teams import Priority, TeamStatus
from biolayer.responses.pages import Page
from biolayer.values import Identifier

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"

# RFC 3339 in UTC, in whole seconds.
TeamTime = Annotated[str, Field(pattern=f"^{TIME}$")]
# The same, or empty: it is not set.
TimeOrEmpty = Annotated[str, Field(pattern=f"^({TIME})?$")]

TeamTaskStatus = Literal["pending", "in_progress", "proposed", "completed", "failed", "cancelled"]


class Team(OpenModel):
    """People and agents who work on tasks together. It is a pool of `/v1`, by the same id."""

    id: Identifier
    name: str
    description: str
    status: TeamStatus
    cadence_minutes: int
    approval_policy: dict[str, Any]
    created_at: TeamTime
    updated_at: TeamTime


class TeamTask(OpenModel):
    """A task of a team. It is a task of `/v1`, by the same id."""

    id: Identifier
    team_id: Identifier
    title: str
    status: TeamTaskStatus
    priority: Priority
    input_context: dict[str, Any]
    proposed_output: Any
    requires_approval: bool
    due_at: TimeOrEmpty
    started_at: TimeOrEmpty
    completed_at: TimeOrEmpty
    created_at: TeamTime
    updated_at: TeamTime


class TeamPage(Page):
    data: list[Team]


class TeamTaskPage(Page):
    data: list[TeamTask]


class TeamWorkspace(OpenModel):
    """The teams of the organisation, and the newest tasks of all of them."""

    teams: list[Team]
    tasks: list[TeamTask]
