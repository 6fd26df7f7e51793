"""Serve the calls of operators on runs: `/api/task-runs/{id}`."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.agents import services
from apps.api.http.operations import operation
from apps.api.operations import representations
from apps.api.operations.errors import redacted
from apps.api.operations.responses import RunAnswer
from apps.api.operations.run_requests import (
    AttachSessionBody,
    ClaimRunBody,
    CompleteRunBody,
    FailRunBody,
    StartRunBody,
)
from apps.api.operations.task_requests import CancelBody
from apps.api.operations.views import OperationsView, answer


class TaskRunClaim(OperationsView):
    @operation(
        "claimTaskRun",
        scope=Scope.TASKS_MANAGE,
        summary="Claim one named queued run (no lease)",
        returns={200: RunAnswer},
        body=ClaimRunBody,
    )
    def post(self, request: Request, run_id: str) -> Response:
        body = self.body(request, ClaimRunBody)
        claimed = services.claim_run(
            caller=self.caller(request),
            run_id=run_id,
            idempotency_key=body.idempotency_key,
            at=self.at(request),
        )
        return answer(RunAnswer(run=representations.run(claimed)))


class TaskRunStart(OperationsView):
    @operation(
        "startTaskRun",
        scope=Scope.TASKS_MANAGE,
        summary="Start a claimed run in a session",
        returns={200: RunAnswer},
        body=StartRunBody,
    )
    def post(self, request: Request, run_id: str) -> Response:
        body = self.body(request, StartRunBody)
        started = services.start_run(
            caller=self.caller(request),
            run_id=run_id,
            idempotency_key=body.idempotency_key,
            at=self.at(request),
        )
        return answer(RunAnswer(run=representations.run(started)))


class TaskRunAttachSession(OperationsView):
    @operation(
        "attachTaskRunSession",
        scope=Scope.TASKS_MANAGE,
        summary="Bind an existing session to a claimed or starting run",
        returns={200: RunAnswer},
        body=AttachSessionBody,
    )
    def post(self, request: Request, run_id: str) -> Response:
        body = self.body(request, AttachSessionBody)
        starting = services.attach_session(
            caller=self.caller(request),
            run_id=run_id,
            session_id=body.session_id,
            at=self.at(request),
        )
        return answer(RunAnswer(run=representations.run(starting)))


class TaskRunComplete(OperationsView):
    @operation(
        "completeTaskRun",
        scope=Scope.TASKS_MANAGE,
        summary="Finish a running, unleased run successfully",
        returns={200: RunAnswer},
        body=CompleteRunBody,
    )
    def post(self, request: Request, run_id: str) -> Response:
        body = self.body(request, CompleteRunBody)
        body.check()
        completed = services.complete_run(
            caller=self.caller(request), run_id=run_id, result=body.result, at=self.at(request)
        )
        return answer(RunAnswer(run=representations.run(completed)))


class TaskRunFail(OperationsView):
    @operation(
        "failTaskRun",
        scope=Scope.TASKS_MANAGE,
        summary="Finish a starting or running, unleased run as failed",
        returns={200: RunAnswer},
        body=FailRunBody,
    )
    def post(self, request: Request, run_id: str) -> Response:
        body = self.body(request, FailRunBody)
        body.check()
        failed = services.fail_run(
            caller=self.caller(request),
            run_id=run_id,
            error=redacted(body.error),
            metadata=body.metadata,
            at=self.at(request),
        )
        return answer(RunAnswer(run=representations.run(failed)))


class TaskRunCancel(OperationsView):
    @operation(
        "cancelTaskRun",
        scope=Scope.TASKS_CANCEL,
        summary="Cancel an open run",
        returns={200: RunAnswer},
        body=CancelBody,
    )
    def post(self, request: Request, run_id: str) -> Response:
        body = self.body(request, CancelBody)
        body.check()
        canceled = services.cancel_run(
            caller=self.caller(request),
            run_id=run_id,
            reason=redacted(body.reason),
            metadata=body.metadata,
            at=self.at(request),
        )
        return answer(RunAnswer(run=representations.run(canceled)))
