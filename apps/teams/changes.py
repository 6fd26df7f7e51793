"""Describe the rows of a team's windows for a service to write."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.base.rows import Change, Update
from apps.pools.changes import POOL_CLOSED
from apps.teams.models import Team
from apps.timers.changes import timer_deletion, timer_upsert

# The timer that opens a team's next window; its subject is the team.
TEAM_WINDOW = "team_window"


def team_update(team: Team, values: Mapping[str, Any]) -> Update:
    """Return the update of a locked team; `team` has the new values at once."""
    for name, value in values.items():
        setattr(team, name, value)
    return Update(Team, {"pool_id": team.pool_id}, values)


def window_timer(team: Team) -> Change:
    """Return the timer of a team's next window, or its deletion where no window opens.

    A team and its pool have one id: the timer of a closed pool stays.
    """
    due_at: datetime | None = team.next_window_at
    if due_at is None:
        return timer_deletion(subject_id=team.pool_id, kept=[POOL_CLOSED])
    return timer_upsert(
        organisation_id=team.organisation_id,
        kind=TEAM_WINDOW,
        subject_id=team.pool_id,
        due_at=due_at,
    )
