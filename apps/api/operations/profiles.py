"""Serve the execution profiles of tasks."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.operations import operation
from apps.api.operations.profile_requests import ProfileBody
from apps.api.operations.profile_responses import ExecutionProfile, ProfileAnswer
from apps.api.operations.responses import NO_TIME
from apps.api.operations.views import OperationsView, answer
from apps.operations import selectors, services
from apps.operations.selectors import ProfileView


class TaskExecutionProfile(OperationsView):
    bad_requests = frozenset({"PUT"})

    @operation(
        "getTaskExecutionProfile",
        scope=Scope.TASKS_READ,
        summary="Read the execution profile (defaults when none is stored)",
        returns={200: ProfileAnswer},
    )
    def get(self, request: Request, task_id: str) -> Response:
        return _shown(selectors.profile_of(self.caller(request), task_id))

    @operation(
        "setTaskExecutionProfile",
        scope=Scope.TASKS_CREATE,
        summary="Replace the execution profile",
        returns={200: ProfileAnswer},
        body=ProfileBody,
        refused=(400,),
    )
    def put(self, request: Request, task_id: str) -> Response:
        fields = self.body(request, ProfileBody).fields(task_id)
        return _shown(
            services.set_profile(
                caller=self.caller(request), task_id=task_id, fields=fields, at=self.at(request)
            )
        )

    @operation(
        "deleteTaskExecutionProfile",
        scope=Scope.TASKS_CREATE,
        summary="Remove the stored execution profile",
        returns={204: None},
    )
    def delete(self, request: Request, task_id: str) -> Response:
        services.delete_profile(caller=self.caller(request), task_id=task_id, at=self.at(request))
        return Response(status=204)


def _shown(view: ProfileView) -> Response:
    times = {"created_at": view.created_at or NO_TIME, "updated_at": view.updated_at or NO_TIME}
    document = {"task_id": view.task_id, **view.document, **times}
    return answer(ProfileAnswer(profile=ExecutionProfile.model_validate(document)))
