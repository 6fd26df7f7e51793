"""Convert teams and their tasks into responses."""

from datetime import UTC, datetime
from typing import Any

from apps.teams.projection import PRIORITY_OF
from apps.teams.selectors import TeamFacts, TeamTask
from biolayer.responses import teams as responses


def team(row: TeamFacts) -> responses.Team:
    # Without validation: the workspace has all teams, and the columns have valid values.
    return responses.Team.model_construct(
        id=row.id,
        name=row.name,
        description=row.description,
        status=_choice(row.status),
        cadence_minutes=row.cadence_minutes,
        approval_policy=dict(row.approval_policy),
        created_at=_time(row.created_at),
        updated_at=_time(max(row.updated_at, row.pool_updated_at)),
    )


def task(row: TeamTask) -> responses.TeamTask:
    return responses.TeamTask(
        id=row.id,
        team_id=row.team_id,
        title=row.title,
        status=_choice(row.status),
        priority=_choice(PRIORITY_OF[row.urgency]),
        input_context=dict(row.context),
        proposed_output={} if row.output is None else row.output,
        requires_approval=row.requires_approval,
        due_at=_time(row.deadline),
        started_at=_time(row.started_at),
        completed_at=_time(row.completed_at),
        created_at=_time(row.created_at),
        updated_at=_time(row.changed_at),
    )


def _time(moment: datetime | None) -> str:
    """Return RFC 3339 in UTC in whole seconds, as the reference does; empty for None."""
    if moment is None:
        return ""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"


def _choice(text: str) -> Any:
    """Return a column's text for a field with few values, which the response model checks."""
    return text
