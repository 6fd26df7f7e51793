"""Serve the calls of `/api` that read tasks and runs."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.agents.inspection import inspect_run, inspect_task
from apps.agents.run_reading import run_detail, task_runs, timeline
from apps.api.http.operations import operation
from apps.api.operations import read_representations as shown
from apps.api.operations import representations
from apps.api.operations.read_requests import (
    AFTER,
    LIMIT,
    LIST_QUERY,
    RUNS_QUERY,
    run_status_of,
    sequence_of,
    task_filters,
    text_of,
)
from apps.api.operations.read_responses import (
    InspectAnswer,
    RunDetailAnswer,
    RunList,
    TaskList,
    TaskTreeAnswer,
    TaskViewAnswer,
    Timeline,
)
from apps.api.operations.requests import limit_of
from apps.api.operations.views import OperationsView, answer
from apps.operations import selectors


class ReadTasks(OperationsView):
    @operation(
        "listTasks",
        scope=Scope.TASKS_READ,
        summary="List tasks",
        returns={200: TaskList},
        query=LIST_QUERY,
        refused=(404,),
    )
    def get(self, request: Request) -> Response:
        filters = task_filters(request.query_params)
        found = selectors.task_list(caller=self.caller(request), filters=filters)
        return answer(TaskList(tasks=shown.summaries(found)))


class ReadTask(OperationsView):
    @operation(
        "getTask",
        scope=Scope.TASKS_READ,
        summary="Read one task with children, dependencies, runs and events",
        returns={200: TaskViewAnswer},
    )
    def get(self, request: Request, task_id: str) -> Response:
        found = selectors.whole_task(caller=self.caller(request), task_id=task_id)
        return answer(shown.whole(found))


class TaskTree(OperationsView):
    @operation(
        "getTaskTree",
        scope=Scope.TASKS_READ,
        summary="A task and its descendants, flat, with depth",
        returns={200: TaskTreeAnswer},
    )
    def get(self, request: Request, task_id: str) -> Response:
        found = selectors.task_tree(caller=self.caller(request), task_id=task_id)
        return answer(shown.tree(found))


class ReadTaskRuns(OperationsView):
    @operation(
        "listTaskRuns",
        scope=Scope.TASKS_READ,
        summary="List the runs of a task",
        returns={200: RunList},
        query=RUNS_QUERY,
    )
    def get(self, request: Request, task_id: str) -> Response:
        query = request.query_params
        found = task_runs(
            caller=self.caller(request),
            task_id=task_id,
            status=run_status_of(query),
            session_id=text_of(query, "session_id"),
            limit=limit_of(query.get("limit", "")),
        )
        return answer(RunList(runs=[representations.run_of_view(view) for view in found]))


class TaskRun(OperationsView):
    @operation(
        "getTaskRun",
        scope=Scope.TASKS_READ,
        summary="Read one run with its task, session and usage",
        returns={200: RunDetailAnswer},
    )
    def get(self, request: Request, run_id: str) -> Response:
        return answer(shown.run_detail(run_detail(caller=self.caller(request), run_id=run_id)))


class TaskTimeline(OperationsView):
    @operation(
        "getTaskTimeline",
        scope=Scope.TASKS_READ,
        summary="Events of a task in sequence order",
        returns={200: Timeline},
        query=(AFTER, LIMIT),
    )
    def get(self, request: Request, task_id: str) -> Response:
        query = request.query_params
        found = timeline(
            caller=self.caller(request),
            task_id=task_id,
            after=sequence_of(query.get("after_sequence", "")),
            limit=limit_of(query.get("limit", "")),
        )
        return answer(shown.timeline(found))


class TaskInspect(OperationsView):
    @operation(
        "inspectTask",
        scope=Scope.TASKS_READ,
        summary="Read-only diagnosis of a task",
        returns={200: InspectAnswer},
    )
    def get(self, request: Request, task_id: str) -> Response:
        caller, at = self.caller(request), self.at(request)
        return answer(shown.inspection(inspect_task(caller=caller, task_id=task_id, at=at)))


class RunInspect(OperationsView):
    @operation(
        "inspectRun",
        scope=Scope.TASKS_READ,
        summary="Read-only diagnosis of a run",
        returns={200: InspectAnswer},
    )
    def get(self, request: Request, run_id: str) -> Response:
        caller, at = self.caller(request), self.at(request)
        return answer(shown.inspection(inspect_run(caller=caller, run_id=run_id, at=at)))
