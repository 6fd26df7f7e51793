"""Serve the calls by which operators put tasks right."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import operation
from apps.api.http.problems import problem_of
from apps.api.http.versions import etag
from apps.api.http.views import View, parse_id
from apps.api.v1.representations import tasks as representations
from apps.matching import services as matching
from apps.tasks import services as tasks
from apps.tasks.selectors import closed_ids
from biolayer.contract import parse
from biolayer.errors import BioLayerError
from biolayer.requests.tasks import Boost, Cancellations, Reassignment, Reopening, Requeue
from biolayer.responses import tasks as responses
from biolayer.responses.problems import Problem


class TaskRequeue(View):
    @operation(
        "requeue_task",
        scope=Scope.TASKS_MANAGE,
        summary="Take a task back from its offers or its worker, and queue it; no attempt is used",
        returns={200: responses.Task},
        body=Requeue,
    )
    def post(self, request: Request, task_id: str) -> Response:
        requeue = parse(Requeue, request.data)

        def call() -> CallResult:
            return _changed(
                matching.requeue_task(
                    actor=self.actor(request),
                    task_id=parse_id("task", task_id),
                    reason=requeue.reason,
                    at=self.at(request),
                )
            )

        return idempotent(request, request.data, call)


class TaskReassign(View):
    @operation(
        "reassign_task",
        scope=Scope.TASKS_MANAGE,
        summary="Offer a task to one worker of your choice; its offers or its worker lose it",
        returns={200: responses.Task},
        body=Reassignment,
    )
    def post(self, request: Request, task_id: str) -> Response:
        reassignment = parse(Reassignment, request.data)

        def call() -> CallResult:
            return _changed(
                matching.reassign_task(
                    actor=self.actor(request),
                    task_id=parse_id("task", task_id),
                    worker_id=reassignment.worker_id,
                    reason=reassignment.reason,
                    at=self.at(request),
                )
            )

        return idempotent(request, request.data, call)


class TaskBoost(View):
    @operation(
        "boost_task",
        scope=Scope.TASKS_MANAGE,
        summary="Move a task ahead in the queue, or back",
        returns={200: responses.Task},
        body=Boost,
    )
    def post(self, request: Request, task_id: str) -> Response:
        boost = parse(Boost, request.data)

        def call() -> CallResult:
            return _changed(
                matching.boost_task(
                    actor=self.actor(request),
                    task_id=parse_id("task", task_id),
                    seconds=boost.seconds,
                    reason=boost.reason,
                    at=self.at(request),
                )
            )

        return idempotent(request, request.data, call)


class TaskReopen(View):
    @operation(
        "reopen_task",
        scope=Scope.TASKS_MANAGE,
        summary="Queue a completed or failed task again while attempts are left; for admins",
        returns={200: responses.Task},
        body=Reopening,
    )
    def post(self, request: Request, task_id: str) -> Response:
        reopening = parse(Reopening, request.data)

        def call() -> CallResult:
            return _changed(
                tasks.reopen_task(
                    actor=self.actor(request),
                    task_id=parse_id("task", task_id),
                    reason=reopening.reason,
                    at=self.at(request),
                )
            )

        return idempotent(request, request.data, call)


class TasksCancel(View):
    @operation(
        "cancel_tasks",
        scope=Scope.TASKS_CANCEL,
        summary="Cancel up to 500 tasks, each with a result of its own",
        returns={200: responses.BulkCancellation},
        body=Cancellations,
    )
    def post(self, request: Request) -> Response:
        body = parse(Cancellations, request.data)
        self.actor(request).require(Scope.TASKS_CANCEL)

        def call() -> CallResult:
            results = tasks.cancel_tasks(
                actor=self.actor(request),
                task_ids=body.task_ids,
                reason=body.reason,
                at=self.at(request),
            )
            return _cancelled(request, results)

        return idempotent(request, request.data, call)


def _changed(task: Any) -> CallResult:
    return CallResult(
        representations.task(task), headers=etag(task.version), closed_tasks=closed_ids([task])
    )


def _cancelled(request: Request, results: Mapping[UUID, Any]) -> CallResult:
    data = []
    for task_id, result in results.items():
        if isinstance(result, BioLayerError):
            problem = Problem(**problem_of(request, result))
            row = responses.CancellationResult(
                task_id=task_id, status=problem.status, problem=problem
            )
        else:
            row = responses.CancellationResult(task_id=task_id, status=200)
        data.append(row)
    closed = [task for task in results.values() if not isinstance(task, BioLayerError)]
    body = responses.BulkCancellation(
        data=data, cancelled=len(closed), refused=len(data) - len(closed)
    )
    return CallResult(body, closed_tasks=closed_ids(closed))
