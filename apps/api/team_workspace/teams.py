"""Serve `/api/v1/team-workspace/teams`."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import page
from apps.api.http.views import parse_id
from apps.api.team_workspace import representations
from apps.api.team_workspace.views import TeamView, check_paging
from apps.teams import selectors, services
from apps.teams.selectors import TeamFacts
from biolayer.requests.teams import TeamChange, TeamCreation
from biolayer.responses import teams as responses

TEAMS = "/api/v1/team-workspace/teams"


class Teams(TeamView):
    @operation(
        "create_team",
        scope=Scope.POOLS_MANAGE,
        summary="Create a team, which needs the role manager; it is a pool, too",
        returns={201: responses.Team},
        body=TeamCreation,
    )
    def post(self, request: Request) -> Response:
        def create() -> CallResult:
            team = services.create_team(
                actor=self.actor(request), document=request.data, at=self.at(request)
            )
            location = {"Location": f"{TEAMS}/{team.pool_id}"}
            return CallResult(representations.team(TeamFacts.of(team)), 201, location)

        return idempotent(request, request.data, create)

    @operation(
        "list_teams",
        scope=Scope.POOLS_READ,
        summary="List teams, newest first",
        returns={200: responses.TeamPage},
        query=PAGED,
        refused=(400,),
    )
    def get(self, request: Request) -> Response:
        check_paging(request)
        rows = selectors.teams(actor=self.actor(request))
        found = page(request, rows, selectors.TEAMS_BY_AGE)
        data = [representations.team(TeamFacts.of(row)) for row in found.rows]
        return Response(responses.TeamPage(data=data, next_cursor=found.next_cursor))


class Team(TeamView):
    @operation(
        "get_team",
        scope=Scope.POOLS_READ,
        summary="Get a team",
        returns={200: responses.Team},
        refused=(400,),
    )
    def get(self, request: Request, team_id: str) -> Response:
        team = selectors.team(actor=self.actor(request), team_id=parse_id("team", team_id))
        return Response(representations.team(TeamFacts.of(team)))

    @operation(
        "update_team",
        scope=Scope.POOLS_MANAGE,
        summary="Change the given fields of a team; pause, resume or archive it",
        returns={200: responses.Team},
        body=TeamChange,
        refused=(409,),
    )
    def patch(self, request: Request, team_id: str) -> Response:
        team = services.update_team(
            actor=self.actor(request),
            team_id=parse_id("team", team_id),
            document=request.data,
            at=self.at(request),
        )
        return Response(representations.team(TeamFacts.of(team)))
