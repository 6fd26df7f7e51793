"""Serve the calls of `/api/tasks` that change tasks. reads.py has those that read them."""

from collections.abc import Callable
from datetime import datetime

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.api.http.operations import operation
from apps.api.operations import read_representations, representations
from apps.api.operations.errors import redacted
from apps.api.operations.read_responses import TaskViewAnswer
from apps.api.operations.reads import ReadTask, ReadTaskRuns, ReadTasks
from apps.api.operations.responses import RunAnswer, TaskAnswer, TaskRunAnswer
from apps.api.operations.task_requests import (
    CancelBody,
    DependencyBody,
    NewTaskBody,
    PauseBody,
    ResumeBody,
    RunRequestBody,
    TaskPatchBody,
    check_metadata,
)
from apps.api.operations.views import OperationsView, answer
from apps.operations import selectors, services
from apps.operations.caller import Caller
from apps.operations.services import LockedTask, QueuedRun, RunRequest

Queue = Callable[..., QueuedRun]


def task_answer(actor: Principal, locked: LockedTask, status: int = 200) -> Response:
    shown = representations.task(locked.task, actor=actor)
    return answer(TaskAnswer(task=shown), status)


def whole_answer(caller: Caller, locked: LockedTask) -> Response:
    return answer(read_representations.whole(selectors.whole(caller, locked.task)))


class Tasks(ReadTasks):
    @operation(
        "createTask",
        scope=Scope.TASKS_CREATE,
        summary="Create a task",
        returns={201: TaskAnswer},
        body=NewTaskBody,
        refused=(404,),
    )
    def post(self, request: Request) -> Response:
        fields = self.body(request, NewTaskBody).fields()
        made = services.create_task(caller=self.caller(request), fields=fields, at=self.at(request))
        return task_answer(self.actor(request), made, 201)


class TaskChildren(OperationsView):
    @operation(
        "createChildTask",
        scope=Scope.TASKS_CREATE,
        summary="Create a task below another",
        returns={201: TaskAnswer},
        body=NewTaskBody,
    )
    def post(self, request: Request, task_id: str) -> Response:
        fields = self.body(request, NewTaskBody).fields()
        made = services.create_task(
            caller=self.caller(request), fields=fields, at=self.at(request), parent_id=task_id
        )
        return task_answer(self.actor(request), made, 201)


class Task(ReadTask):
    bad_requests = frozenset({"DELETE"})

    @operation(
        "updateTask",
        scope=Scope.TASKS_CREATE,
        summary="Change the mutable fields of a task",
        returns={200: TaskAnswer},
        body=TaskPatchBody,
    )
    def patch(self, request: Request, task_id: str) -> Response:
        changes = self.body(request, TaskPatchBody).changes()
        changed = services.update_task(
            caller=self.caller(request), task_id=task_id, changes=changes, at=self.at(request)
        )
        return task_answer(self.actor(request), changed)

    @operation(
        "deleteTask",
        scope=Scope.TASKS_MANAGE,
        summary="Delete a task that has no children and no open run",
        returns={204: None},
        refused=(400,),
    )
    def delete(self, request: Request, task_id: str) -> Response:
        services.delete_task(caller=self.caller(request), task_id=task_id, at=self.at(request))
        return Response(status=204)


class _QueueView(OperationsView):
    """Queue a run by one of the services, and return it with its task."""

    def queue(self, request: Request, task_id: str, service: Queue, status: int) -> Response:
        queued = self.queued(request, task_id, service)
        shown = TaskRunAnswer(
            task=representations.task(queued.locked.task, actor=self.actor(request)),
            run=representations.run(queued.run),
        )
        return answer(shown, status)

    def queued(self, request: Request, task_id: str, service: Queue) -> QueuedRun:
        asked: RunRequest = self.body(request, RunRequestBody).request()
        caller: Caller = self.caller(request)
        at: datetime = self.at(request)
        return service(caller=caller, task_id=task_id, request=asked, at=at)


class TaskPublish(_QueueView):
    @operation(
        "publishTask",
        scope=Scope.TASKS_CREATE,
        summary="Turn a draft into a runnable task and queue its run",
        returns={200: TaskRunAnswer},
        body=RunRequestBody,
    )
    def post(self, request: Request, task_id: str) -> Response:
        return self.queue(request, task_id, services.publish_task, 200)


class TaskStart(_QueueView):
    @operation(
        "startTask",
        scope=Scope.TASKS_CREATE,
        summary="Queue a run for a runnable task",
        returns={201: TaskRunAnswer},
        body=RunRequestBody,
    )
    def post(self, request: Request, task_id: str) -> Response:
        return self.queue(request, task_id, services.start_task, 201)


class TaskApprove(_QueueView):
    @operation(
        "approveTask",
        scope=Scope.TASKS_REVIEW,
        summary="Approve a task that waits for approval and queue its run",
        returns={201: TaskRunAnswer},
        body=RunRequestBody,
    )
    def post(self, request: Request, task_id: str) -> Response:
        return self.queue(request, task_id, services.approve_task, 201)


class TaskRuns(ReadTaskRuns, _QueueView):
    @operation(
        "enqueueTaskRun",
        scope=Scope.TASKS_CREATE,
        summary="Queue a run for a task",
        returns={201: RunAnswer},
        body=RunRequestBody,
    )
    def post(self, request: Request, task_id: str) -> Response:
        queued = self.queued(request, task_id, services.enqueue_run)
        return answer(RunAnswer(run=representations.run(queued.run)), 201)


class TaskReject(OperationsView):
    @operation(
        "rejectTask",
        scope=Scope.TASKS_REVIEW,
        summary="Reject a task that waits for approval",
        returns={200: TaskAnswer},
    )
    def post(self, request: Request, task_id: str) -> Response:
        return task_answer(
            self.actor(request),
            services.reject_task(caller=self.caller(request), task_id=task_id, at=self.at(request)),
        )


class TaskCancel(OperationsView):
    @operation(
        "cancelTask",
        scope=Scope.TASKS_CANCEL,
        summary="Cancel a task, its open runs and its descendants",
        returns={200: TaskAnswer},
        body=CancelBody,
    )
    def post(self, request: Request, task_id: str) -> Response:
        body = self.body(request, CancelBody)
        body.check()
        return task_answer(
            self.actor(request),
            services.cancel_task(
                caller=self.caller(request),
                task_id=task_id,
                reason=redacted(body.reason),
                metadata=body.metadata,
                at=self.at(request),
            ),
        )


class TaskDependencies(OperationsView):
    @operation(
        "addTaskDependency",
        scope=Scope.TASKS_CREATE,
        summary="Add a blocking dependency",
        returns={200: TaskViewAnswer},
        body=DependencyBody,
    )
    def post(self, request: Request, task_id: str) -> Response:
        body, caller = self.body(request, DependencyBody), self.reader(request)
        locked = services.add_dependency(
            caller=caller,
            task_id=task_id,
            depends_on=body.depends_on_task_id,
            at=self.at(request),
        )
        return whole_answer(caller, locked)


class TaskDependency(OperationsView):
    @operation(
        "removeTaskDependency",
        scope=Scope.TASKS_CREATE,
        summary="Remove a blocking dependency",
        returns={200: TaskViewAnswer},
    )
    def delete(self, request: Request, task_id: str, depends_on_id: str) -> Response:
        caller = self.reader(request)
        locked = services.remove_dependency(
            caller=caller, task_id=task_id, depends_on=depends_on_id, at=self.at(request)
        )
        return whole_answer(caller, locked)


class TaskPause(OperationsView):
    diagnostic_prefix = "task.pause"

    @operation(
        "pauseTask",
        scope=Scope.TASKS_MANAGE,
        summary="Pause a task and its subtree for new claims",
        returns={200: TaskAnswer},
        body=PauseBody,
    )
    def post(self, request: Request, task_id: str) -> Response:
        body = self.body(request, PauseBody)
        check_metadata(body.metadata)
        return task_answer(
            self.actor(request),
            services.pause_task(
                caller=self.caller(request),
                task_id=task_id,
                reason=redacted(body.reason),
                metadata=body.metadata,
                at=self.at(request),
            ),
        )


class TaskResume(OperationsView):
    diagnostic_prefix = "task.pause"

    @operation(
        "resumeTask",
        scope=Scope.TASKS_MANAGE,
        summary="Clear the task's own pause",
        returns={200: TaskAnswer},
        body=ResumeBody,
    )
    def post(self, request: Request, task_id: str) -> Response:
        body = self.body(request, ResumeBody)
        check_metadata(body.metadata)
        return task_answer(
            self.actor(request),
            services.resume_task(
                caller=self.caller(request),
                task_id=task_id,
                metadata=body.metadata,
                at=self.at(request),
            ),
        )
