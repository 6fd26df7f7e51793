"""Serve `/api/scheduler`: whether runs are handed out, and what waits for that."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.operations import operation
from apps.api.operations import scheduler_representations as representations
from apps.api.operations.scheduler_requests import (
    BACKLOG,
    MAX_DRAIN_SECONDS,
    DrainBody,
    SchedulerBody,
    backlog_query,
)
from apps.api.operations.scheduler_responses import (
    BacklogAnswer,
    DrainAnswer,
    SchedulerAnswer,
)
from apps.api.operations.views import OperationsView, answer
from apps.operations import selectors, services
from apps.operations.selectors import SchedulerView


def _state(view: SchedulerView) -> Response:
    return answer(SchedulerAnswer(scheduler=representations.scheduler(view)))


class Scheduler(OperationsView):
    @operation(
        "getScheduler",
        scope=Scope.TASKS_READ,
        summary="Scheduler pause state and queue counters",
        returns={200: SchedulerAnswer},
    )
    def get(self, request: Request) -> Response:
        return _state(selectors.scheduler_of(self.caller(request), self.at(request)))


class SchedulerPause(OperationsView):
    @operation(
        "pauseScheduler",
        scope=Scope.TASKS_MANAGE,
        summary="Stop handing out runs",
        returns={200: SchedulerAnswer},
        body=SchedulerBody,
    )
    def post(self, request: Request) -> Response:
        reason, caller = self.body(request, SchedulerBody).words(), self.caller(request)
        return _state(services.pause_scheduler(caller=caller, reason=reason, at=self.at(request)))


class SchedulerResume(OperationsView):
    @operation(
        "resumeScheduler",
        scope=Scope.TASKS_MANAGE,
        summary="Start handing out runs again",
        returns={200: SchedulerAnswer},
        body=SchedulerBody,
    )
    def post(self, request: Request) -> Response:
        self.body(request, SchedulerBody)
        return _state(services.resume_scheduler(caller=self.caller(request), at=self.at(request)))


class SchedulerDrain(OperationsView):
    @operation(
        "drainScheduler",
        scope=Scope.TASKS_MANAGE,
        summary="Pause the scheduler and wait until no run is held",
        returns={200: DrainAnswer},
        body=DrainBody,
    )
    def post(self, request: Request) -> Response:
        body = self.body(request, DrainBody)
        ended = services.drain_scheduler(
            caller=self.caller(request),
            reason=body.words(),
            timeout_seconds=min(body.timeout_seconds, MAX_DRAIN_SECONDS),
            at=self.at(request),
        )
        return answer(representations.drain(ended))


class SchedulerBacklog(OperationsView):
    @operation(
        "getSchedulerBacklog",
        scope=Scope.TASKS_READ,
        summary="Queued runs in dispatch order",
        returns={200: BacklogAnswer},
        query=BACKLOG,
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        asked = backlog_query(
            limit=query.get("limit", ""),
            scope=query.get("scope", ""),
            workspace=query.get("workspace", ""),
            include_paused=query.get("include_paused", ""),
        )
        caller = self.caller(request)
        return answer(representations.backlog(caller, selectors.backlog(caller, asked)))
