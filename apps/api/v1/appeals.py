"""Serve `/v1/appeals`, and the call by which a worker appeals a verdict."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import APPEAL_FILTERS, appeal_filter
from apps.api.v1.representations import appeals as representations
from apps.api.v1.representations.own_verdicts import own_appeal
from apps.reviews import selectors, services
from apps.reviews.services import Ruling
from apps.tasks.selectors import closed_ids
from biolayer.contract import parse
from biolayer.requests.appeals import AppealDecision as DecisionBody
from biolayer.requests.appeals import NewAppeal
from biolayer.responses import appeals as responses

NEWEST_FIRST = Keyset(("id",), descending=True)


class ReviewAppeal(View):
    @operation(
        "appeal_review",
        scope=Scope.WORK,
        summary="Appeal a verdict by which the worker's output was sent back or rejected",
        returns={201: responses.OwnAppeal},
        body=NewAppeal,
        refused=(409,),
    )
    def post(self, request: Request, review_id: str) -> Response:
        body, at = parse(NewAppeal, request.data), self.at(request)

        def appeal() -> CallResult:
            row = services.open_appeal(
                actor=self.actor(request),
                review_id=parse_id("review", review_id),
                reason=body.reason,
                at=at,
            )
            shown = own_appeal(row)
            return CallResult(shown, status=201, closed_tasks=closed_ids([row.review.task]))

        return idempotent(request, request.data, appeal)


class Appeals(View):
    @operation(
        "list_appeals",
        scope=Scope.TASKS_REVIEW,
        summary="List appeals, newest first; for managers",
        returns={200: responses.AppealPage},
        query=(*APPEAL_FILTERS, *PAGED),
    )
    def get(self, request: Request) -> Response:
        at = self.at(request)
        rows = selectors.appeals(actor=self.actor(request), filters=appeal_filter(request))
        found = page(request, rows.order_by("-id"), NEWEST_FIRST)
        data = [representations.appeal(row, at=at) for row in found.rows]
        return Response(responses.AppealPage(data=data, next_cursor=found.next_cursor))


class Appeal(View):
    @operation(
        "get_appeal",
        scope=Scope.TASKS_REVIEW,
        summary="Get an appeal with its review; for managers",
        returns={200: responses.Appeal},
    )
    def get(self, request: Request, appeal_id: str) -> Response:
        row = selectors.appeal(actor=self.actor(request), appeal_id=parse_id("appeal", appeal_id))
        return Response(representations.appeal(row, at=self.at(request)))


class AppealDecision(View):
    @operation(
        "decide_appeal",
        scope=Scope.TASKS_REVIEW,
        summary="Decide on an appeal: uphold the verdict, or overturn it; for managers",
        returns={200: responses.Appeal},
        body=DecisionBody,
        refused=(409,),
    )
    def post(self, request: Request, appeal_id: str) -> Response:
        body, at = parse(DecisionBody, request.data), self.at(request)

        def decide() -> CallResult:
            row = services.decide_appeal(
                actor=self.actor(request),
                appeal_id=parse_id("appeal", appeal_id),
                ruling=Ruling(
                    version=body.version,
                    decision=body.decision,
                    reason=body.reason,
                    rating=body.rating,
                    is_reopening=body.reopen,
                ),
                at=at,
            )
            shown = representations.appeal(row, at=at)
            return CallResult(shown, closed_tasks=closed_ids([row.review.task]))

        return idempotent(request, request.data, decide)
