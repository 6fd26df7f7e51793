"""Serve `/v1/reviewers`, what reviewers do, and `/v1/second-looks` at what they approved."""

from collections.abc import Sequence
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page, page_of
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import PERIOD, SECOND_LOOK_FILTERS, period, second_look_statuses
from apps.api.v1.representations import reviewers as representations
from apps.reviews import selectors, services
from apps.reviews.selectors import ReviewerFigures
from apps.tasks.selectors import closed_ids
from biolayer.contract import parse
from biolayer.requests.second_looks import SecondVerdict
from biolayer.responses import reviewers as responses

BY_NAME = Keyset(("decided_by",))
OLDEST_FIRST = Keyset(("id",))


class Reviewers(View):
    @operation(
        "list_reviewers",
        scope=Scope.TASKS_REVIEW,
        summary="List what reviewers decided in a period of at most 92 days, by default the last 7;"
        " for managers",
        returns={200: responses.ReviewerPage},
        query=(*PERIOD, *PAGED),
    )
    def get(self, request: Request) -> Response:
        actor = self.actor(request)
        since, until = period(request, at=self.at(request))

        def read(after: Sequence[Any] | None, count: int) -> Sequence[ReviewerFigures]:
            name = None if after is None else after[0]
            return selectors.reviewers(
                actor=actor, since=since, until=until, after=name, count=count
            )

        found = page_of(request, read, BY_NAME)
        data = [representations.reviewer(row) for row in found.rows]
        return Response(
            responses.ReviewerPage(
                since=since, until=until, data=data, next_cursor=found.next_cursor
            )
        )


class SecondLooks(View):
    @operation(
        "list_second_looks",
        scope=Scope.TASKS_REVIEW,
        summary="List approvals that another reviewer looks at again, oldest first",
        returns={200: responses.SecondLookPage},
        query=(*SECOND_LOOK_FILTERS, *PAGED),
    )
    def get(self, request: Request) -> Response:
        statuses = second_look_statuses(request)
        rows = selectors.second_looks(actor=self.actor(request), statuses=statuses)
        found = page(request, rows.order_by("id"), OLDEST_FIRST)
        data = [representations.second_look(row) for row in found.rows]
        return Response(responses.SecondLookPage(data=data, next_cursor=found.next_cursor))


class SecondLook(View):
    @operation(
        "get_second_look",
        scope=Scope.TASKS_REVIEW,
        summary="Get a second look with the output and the task's contract",
        returns={200: responses.SecondLookDetail},
    )
    def get(self, request: Request, second_look_id: str) -> Response:
        look_id = parse_id("second look", second_look_id)
        row = selectors.second_look(actor=self.actor(request), look_id=look_id)
        return Response(representations.second_look_detail(row))


class SecondLookVerdict(View):
    @operation(
        "decide_second_look",
        scope=Scope.TASKS_REVIEW,
        summary="Say whether you agree with an approval of another reviewer",
        returns={200: responses.SecondLook},
        body=SecondVerdict,
        refused=(409,),
    )
    def post(self, request: Request, second_look_id: str) -> Response:
        body = parse(SecondVerdict, request.data)

        def decide() -> CallResult:
            row = services.give_second_look(
                actor=self.actor(request),
                look_id=parse_id("second look", second_look_id),
                verdict=body.verdict,
                reason=body.reason,
                at=self.at(request),
            )
            shown = representations.second_look(row)
            return CallResult(shown, closed_tasks=closed_ids([row.review.task]))

        return idempotent(request, request.data, decide)
