"""Open the windows of teams in time, each once.

1. The timer `team_window` of an active team is due at `next_window_at`.
2. Its handler locks the team, counts the window, and sets the next time on the grid of the cadence,
   in the transaction that moves the timer. A process that dies leaves neither, or both.
3. Windows that were due while no process ran are one, opened late: the next time is the first point
   of the grid that is still ahead.
"""

from datetime import datetime, timedelta
from uuid import UUID

from apps.base.rows import write
from apps.base.transactions import atomic
from apps.pools.models import Pool
from apps.teams.cadence import following_window
from apps.teams.changes import team_update
from apps.teams.models import Team, TeamStatus


@atomic()
def open_window(*, team_id: UUID, at: datetime) -> datetime | None:
    """Open the window of a team that is due. Return when the next one is; None: no window opens.

    A timer that is early, after the clock was set back, say, opens none. Raise `OperationalError`
    at once where another transaction has the team locked.
    """
    rows = Team.objects.locked(nowait=True)
    team = rows.filter(pool_id=team_id, status=TeamStatus.ACTIVE).first()
    if team is None or team.next_window_at is None:
        return None
    if at < team.next_window_at:
        return team.next_window_at
    cadence = cadence_of(team_id)
    values = {
        "windows": team.windows + 1,
        # A clock that was set back must not take back what may be claimed already.
        "window_opened_at": max(at, team.window_opened_at or at),
        "next_window_at": following_window(due_at=team.next_window_at, cadence=cadence, at=at),
    }
    write([team_update(team, values)])
    return team.next_window_at


def cadence_of(team_id: UUID) -> timedelta:
    """Return the time between two windows. Who changes it has the team locked."""
    minutes = Pool.objects.values_list("cadence_minutes", flat=True).get(id=team_id)
    return timedelta(minutes=minutes)
