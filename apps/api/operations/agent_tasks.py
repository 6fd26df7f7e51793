"""Serve `/api/agent/tasks`: a session claims the next run, and works on what it holds."""

from collections.abc import Callable
from dataclasses import dataclass

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.agents import services
from apps.agents.queue import Criteria
from apps.agents.selectors import CallingSession, require_workspace
from apps.agents.services import ClaimRequest
from apps.api.http.authentication import authenticate_again
from apps.api.http.operations import operation
from apps.api.http.views import parse_id
from apps.api.operations import representations
from apps.api.operations.errors import redacted
from apps.api.operations.requests import (
    MAX_PAYLOAD_BYTES,
    MAX_RESULT_BYTES,
    ClaimNextBody,
    CompleteBody,
    FailBody,
    HeartbeatBody,
    ReleaseBody,
    check_no_token,
    check_payload,
)
from apps.api.operations.responses import ClaimAnswer, LeaseAnswer
from apps.api.operations.views import IDENTITY, OperationsView, answer


@dataclass(frozen=True, slots=True)
class ClaimCall:
    """Hold a claim that its caller may make."""

    actor: Principal
    session: CallingSession
    request: ClaimRequest
    check: Callable[[], object]

    def look_again(self) -> services.Looked:
        return services.look_again(
            actor=self.actor, session=self.session, request=self.request, check=self.check
        )


class NothingYet(Response):
    """Answer that nothing was claimed, for a caller who waits: by `call` it may be tried again."""

    def __init__(self, call: ClaimCall) -> None:
        super().__init__(status=204)
        self.call = call


class AgentClaimNext(OperationsView):
    # Whether to wait on this thread. The ASGI process waits without one.
    waits = True

    @operation(
        "claimNextAgentTask",
        scope=Scope.WORK,
        summary="Claim the next eligible queued run for the calling agent session",
        returns={200: ClaimAnswer, 204: None},
        body=ClaimNextBody,
        headers=IDENTITY,
    )
    def post(self, request: Request) -> Response:
        actor, session = self.actor(request), self.session(request)
        body = self.body(request, ClaimNextBody)
        require_workspace(session, body.workspace_id)
        criteria = Criteria(skills=body.required_capabilities, priority_min=body.priority_min)
        asked = ClaimRequest(criteria, body.lease_seconds, body.idempotency_key)
        call = ClaimCall(actor, session, asked, lambda: self.check_again(request))
        at = self.at(request)
        if body.wait and self.waits:
            made = services.wait_for_next(
                actor=actor, session=session, request=asked, at=at, check=call.check
            )
        else:
            made = services.claim_next(actor=actor, session=session, request=asked, at=at)
        if made is not None:
            return answer(representations.claim(made, actor=actor))
        return NothingYet(call) if body.wait and not self.waits else Response(status=204)

    def check_again(self, request: Request) -> None:
        """Raise what a new call by these headers would be refused with."""
        self.session_again(request, authenticate_again(request._request))


class AgentHeartbeat(OperationsView):
    @operation(
        "heartbeatAgentTaskRun",
        scope=Scope.WORK,
        summary="Renew the lease on the calling session's run",
        returns={200: LeaseAnswer},
        body=HeartbeatBody,
        headers=IDENTITY,
    )
    def post(self, request: Request, run_id: str) -> Response:
        session, body = self.session(request), self.body(request, HeartbeatBody)
        changed = services.heartbeat_claim(
            actor=self.actor(request),
            session=session,
            run_id=parse_id("run", run_id),
            lease_seconds=body.lease_seconds,
            at=self.at(request),
        )
        return answer(representations.lease(changed, actor=self.actor(request)))


class AgentComplete(OperationsView):
    @operation(
        "completeAgentTaskRun",
        scope=Scope.WORK,
        summary="Finish the calling session's leased run successfully",
        returns={200: LeaseAnswer},
        body=CompleteBody,
        headers=IDENTITY,
    )
    def post(self, request: Request, run_id: str) -> Response:
        session, body = self.session(request), self.body(request, CompleteBody)
        check_payload(body.result, name="result", limit=MAX_RESULT_BYTES)
        check_no_token(body.result, name="result")
        changed = services.complete_claim(
            actor=self.actor(request),
            session=session,
            run_id=parse_id("run", run_id),
            result=body.result,
            at=self.at(request),
        )
        return answer(representations.lease(changed, actor=self.actor(request)))


class AgentFail(OperationsView):
    @operation(
        "failAgentTaskRun",
        scope=Scope.WORK,
        summary="Finish the calling session's leased run as failed",
        returns={200: LeaseAnswer},
        body=FailBody,
        headers=IDENTITY,
    )
    def post(self, request: Request, run_id: str) -> Response:
        session, body = self.session(request), self.body(request, FailBody)
        check_payload(body.metadata, name="metadata", limit=MAX_PAYLOAD_BYTES)
        check_no_token(body.metadata, name="metadata")
        changed = services.fail_claim(
            actor=self.actor(request),
            session=session,
            run_id=parse_id("run", run_id),
            error=redacted(body.error),
            metadata=body.metadata,
            at=self.at(request),
        )
        return answer(representations.lease(changed, actor=self.actor(request)))


class AgentRelease(OperationsView):
    @operation(
        "releaseAgentTaskRun",
        scope=Scope.WORK,
        summary="Give the calling session's run back to the queue",
        returns={200: LeaseAnswer},
        body=ReleaseBody,
        headers=IDENTITY,
    )
    def post(self, request: Request, run_id: str) -> Response:
        session, body = self.session(request), self.body(request, ReleaseBody)
        changed = services.release_claim(
            actor=self.actor(request),
            session=session,
            run_id=parse_id("run", run_id),
            reason=redacted(body.reason),
            at=self.at(request),
        )
        return answer(representations.lease(changed, actor=self.actor(request)))
