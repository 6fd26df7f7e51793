"""Serve `/api/v1/team-workspace/tasks`."""

from collections.abc import Sequence
from typing import Any, Literal

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import page_of
from apps.api.http.views import parse_id
from apps.api.team_workspace import representations
from apps.api.team_workspace.views import TeamView, check_paging
from apps.reviews import services as reviews
from apps.teams import selectors, services
from biolayer.contract import parse
from biolayer.requests.teams import Approval, Rejection, TeamTaskCancellation, TeamTaskCreation
from biolayer.responses import teams as responses

TASKS = "/api/v1/team-workspace/tasks"
ENDED = ("completed", "failed", "cancelled")


def _result(
    task: selectors.TeamTask, status: int = 200, headers: dict[str, str] | None = None
) -> CallResult:
    closed = [task.id] if task.status in ENDED else []
    return CallResult(representations.task(task), status, headers or {}, closed_tasks=closed)


class Tasks(TeamView):
    @operation(
        "create_team_task",
        scope=Scope.TASKS_CREATE,
        summary="Create a task of a team",
        returns={201: responses.TeamTask},
        body=TeamTaskCreation,
        refused=(404,),
    )
    def post(self, request: Request) -> Response:
        def create() -> CallResult:
            task = services.create_team_task(
                actor=self.actor(request), document=request.data, at=self.at(request)
            )
            return _result(task, 201, {"Location": f"{TASKS}/{task.id}"})

        return idempotent(request, request.data, create)

    @operation(
        "list_team_tasks",
        scope=Scope.TASKS_READ,
        summary="List the tasks of all teams, newest first",
        returns={200: responses.TeamTaskPage},
        query=PAGED,
        refused=(400,),
    )
    def get(self, request: Request) -> Response:
        check_paging(request)
        actor = self.actor(request)

        def read(after: Sequence[Any] | None, count: int) -> Sequence[selectors.TeamTask]:
            return selectors.newest_tasks(actor=actor, after=after, count=count)

        found = page_of(request, read, selectors.TASKS_BY_AGE)
        data = [representations.task(row) for row in found.rows]
        return Response(responses.TeamTaskPage(data=data, next_cursor=found.next_cursor))


class Task(TeamView):
    @operation(
        "get_team_task",
        scope=Scope.TASKS_READ,
        summary="Get a task of a team",
        returns={200: responses.TeamTask},
        refused=(400,),
    )
    def get(self, request: Request, task_id: str) -> Response:
        task = selectors.team_task(actor=self.actor(request), task_id=parse_id("task", task_id))
        return Response(representations.task(task))


class _Decision(TeamView):
    """Decide what a task's latest attempt has proposed."""

    def decide(
        self, request: Request, task_id: str, verdict: Literal["approve", "rework"], body: Any
    ) -> Response:
        actor, at, known = self.actor(request), self.at(request), parse_id("task", task_id)

        def decide() -> CallResult:
            selectors.team_task(actor=actor, task_id=known, scope=Scope.TASKS_REVIEW)
            reviews.decide_task(actor=actor, task_id=known, verdict=verdict, at=at, **dict(body))
            task = selectors.team_task(actor=actor, task_id=known, scope=Scope.TASKS_REVIEW)
            return _result(task)

        return idempotent(request, request.data, decide)


class TaskApproval(_Decision):
    @operation(
        "approve_team_task",
        scope=Scope.TASKS_REVIEW,
        summary="Approve what is proposed: the task is completed",
        returns={200: responses.TeamTask},
        body=Approval,
    )
    def post(self, request: Request, task_id: str) -> Response:
        return self.decide(request, task_id, "approve", parse(Approval, request.data))


class TaskRejection(_Decision):
    @operation(
        "reject_team_task",
        scope=Scope.TASKS_REVIEW,
        summary="Reject what is proposed: the task waits for its next attempt, or fails after the"
        " last one",
        returns={200: responses.TeamTask},
        body=Rejection,
    )
    def post(self, request: Request, task_id: str) -> Response:
        return self.decide(request, task_id, "rework", parse(Rejection, request.data))


class TaskCancel(TeamView):
    @operation(
        "cancel_team_task",
        scope=Scope.TASKS_CANCEL,
        summary="Cancel a task; refused once an output was proposed",
        returns={200: responses.TeamTask},
        body=TeamTaskCancellation,
    )
    def post(self, request: Request, task_id: str) -> Response:
        body = parse(TeamTaskCancellation, request.data)

        def cancel() -> CallResult:
            task = services.cancel_team_task(
                actor=self.actor(request),
                task_id=parse_id("task", task_id),
                reason=body.reason,
                at=self.at(request),
            )
            return _result(task)

        return idempotent(request, request.data, cancel)
