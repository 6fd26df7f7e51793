"""Change teams, their windows and their tasks. Import the services from here."""

from apps.teams.services.tasks import cancel_team_task, create_team_task
from apps.teams.services.teams import archive_closed, create_team, update_team
from apps.teams.services.windows import open_window

__all__ = [
    "archive_closed",
    "cancel_team_task",
    "create_team",
    "create_team_task",
    "open_window",
    "update_team",
]
