"""Serve the whole workspace: teams, and the newest tasks of all of them."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.operations import operation
from apps.api.team_workspace import representations
from apps.api.team_workspace.views import TeamView
from apps.teams import selectors
from biolayer.responses import teams as responses


class Workspace(TeamView):
    @operation(
        "get_team_workspace",
        scope=Scope.TASKS_READ,
        summary="Get all teams, and the 100 newest tasks of all of them",
        returns={200: responses.TeamWorkspace},
        refused=(400,),
    )
    def get(self, request: Request) -> Response:
        found = selectors.workspace(actor=self.actor(request))
        workspace = responses.TeamWorkspace(
            teams=[representations.team(row) for row in found.teams],
            tasks=[representations.task(row) for row in found.tasks],
        )
        return Response(workspace)
