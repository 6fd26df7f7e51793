"""Serve the calls of `/api/runs` by which operators change runs that they do not hold."""

from collections.abc import Callable
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.agents import services
from apps.agents.services import Outcomes
from apps.api.http.operations import operation
from apps.api.operations import representations
from apps.api.operations.errors import error_body
from apps.api.operations.force_requests import BulkForceBody, ForceBody, RetryBody
from apps.api.operations.force_responses import (
    BulkForceAnswer,
    BulkForceResult,
    RepeatedRunAnswer,
)
from apps.api.operations.responses import RunAnswer
from apps.api.operations.views import OperationsView, answer
from apps.operations.caller import Caller
from biolayer.errors import BioLayerError


class _ForceView(OperationsView):
    def forcing(self, request: Request) -> Caller:
        """Return who forces: that it may is checked before its body."""
        caller = self.caller(request)
        services.require_may_force(caller)
        return caller


class RunRelease(_ForceView):
    @operation(
        "forceReleaseTaskRun",
        scope=Scope.TASKS_MANAGE,
        summary="Return a claimed run to the queue without its lease",
        returns={200: RunAnswer},
        body=ForceBody,
    )
    def post(self, request: Request, run_id: str) -> Response:
        caller = self.forcing(request)
        order = self.body(request, ForceBody).order()
        run = services.force_release(caller=caller, run_id=run_id, order=order, at=self.at(request))
        return answer(RunAnswer(run=representations.run(run)))


class RunFail(_ForceView):
    @operation(
        "forceFailTaskRun",
        scope=Scope.TASKS_MANAGE,
        summary="Fail a queued or claimed run without its lease",
        returns={200: RunAnswer},
        body=ForceBody,
    )
    def post(self, request: Request, run_id: str) -> Response:
        caller = self.forcing(request)
        order = self.body(request, ForceBody).order()
        run = services.force_fail(caller=caller, run_id=run_id, order=order, at=self.at(request))
        return answer(RunAnswer(run=representations.run(run)))


class RunRetry(_ForceView):
    @operation(
        "retryTaskRun",
        scope=Scope.TASKS_MANAGE,
        summary="Queue a new run that follows a failed one",
        returns={201: RepeatedRunAnswer},
        body=RetryBody,
    )
    def post(self, request: Request, run_id: str) -> Response:
        caller = self.forcing(request)
        order = self.body(request, RetryBody).order()
        made = services.retry_run(caller=caller, run_id=run_id, order=order, at=self.at(request))
        return _repeated(made)


class RunRecover(_ForceView):
    @operation(
        "recoverTaskRun",
        scope=Scope.TASKS_MANAGE,
        summary="Close a needs_attention run and queue a replacement",
        returns={201: RepeatedRunAnswer},
        body=ForceBody,
    )
    def post(self, request: Request, run_id: str) -> Response:
        caller = self.forcing(request)
        order = self.body(request, ForceBody).order()
        made = services.recover_run(caller=caller, run_id=run_id, order=order, at=self.at(request))
        return _repeated(made)


class _BulkView(OperationsView):
    """Force each of several runs. Who may not force at all is told so for each of them."""

    def each(self, request: Request, force: Callable[..., Outcomes]) -> Response:
        body, caller = self.body(request, BulkForceBody), self.caller(request)
        run_ids, order = body.ids(), body.order()
        outcomes = force(caller=caller, run_ids=run_ids, order=order, at=self.at(request))
        return answer(BulkForceAnswer(results=[_result(*outcome) for outcome in outcomes]))


class RunsRelease(_BulkView):
    @operation(
        "bulkForceReleaseTaskRuns",
        scope=Scope.TASKS_MANAGE,
        summary="Force-release up to 50 runs, one result per run",
        returns={200: BulkForceAnswer},
        body=BulkForceBody,
    )
    def post(self, request: Request) -> Response:
        return self.each(request, services.force_release_many)


class RunsFail(_BulkView):
    @operation(
        "bulkForceFailTaskRuns",
        scope=Scope.TASKS_MANAGE,
        summary="Force-fail up to 50 runs, one result per run",
        returns={200: BulkForceAnswer},
        body=BulkForceBody,
    )
    def post(self, request: Request) -> Response:
        return self.each(request, services.force_fail_many)


def _repeated(made: services.Repeated) -> Response:
    previous, run = representations.runs([made.previous, made.run])
    return answer(RepeatedRunAnswer(previous_run=previous, run=run), 201)


def _result(run_id: str, outcome: Any) -> BulkForceResult:
    if isinstance(outcome, BioLayerError):
        return BulkForceResult(run_id=run_id, ok=False, error=error_body(outcome, run_id=run_id))
    return BulkForceResult(run_id=run_id, ok=True, run=representations.run(outcome))
