"""Serve `/v1/reviews`: submitted outputs that wait for a person's verdict."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.problems import problem_of
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import REVIEW_FILTERS, review_filter
from apps.api.v1.representations import reviews as representations
from apps.reviews import selectors, services
from apps.reviews.selectors import Lane
from apps.tasks.selectors import closed_ids
from biolayer.contract import parse
from biolayer.errors import BioLayerError
from biolayer.requests.reviews import MAX_VERDICTS, Verdict, Verdicts
from biolayer.responses import reviews as responses
from biolayer.responses.problems import Problem

OLDEST_FIRST = Keyset(("id",))
NEWEST_FIRST = Keyset(("id",), descending=True)


class Reviews(View):
    @operation(
        "list_reviews",
        scope=Scope.TASKS_REVIEW,
        summary="List reviews: the lanes `mine`, `waiting` and `overdue` oldest first, else newest"
        " first",
        returns={200: responses.ReviewPage},
        query=(*REVIEW_FILTERS, *PAGED),
    )
    def get(self, request: Request) -> Response:
        at, filters = self.at(request), review_filter(request)
        is_worklist = filters.lane not in (None, Lane.DONE)
        rows = selectors.reviews(actor=self.actor(request), filters=filters, at=at)
        visible = rows.order_by("id" if is_worklist else "-id")
        found = page(request, visible, OLDEST_FIRST if is_worklist else NEWEST_FIRST)
        data = [representations.review(row, at=at) for row in found.rows]
        return Response(responses.ReviewPage(data=data, next_cursor=found.next_cursor))


class Review(View):
    @operation(
        "get_review",
        scope=Scope.TASKS_REVIEW,
        summary="Get a review with the output, the task's contract, and the review before",
        returns={200: responses.ReviewDetail},
    )
    def get(self, request: Request, review_id: str) -> Response:
        found = selectors.review(actor=self.actor(request), review_id=parse_id("review", review_id))
        return Response(representations.detail(found, at=self.at(request)))


class ReviewClaim(View):
    @operation(
        "claim_review",
        scope=Scope.TASKS_REVIEW,
        summary="Claim a review for 10 minutes, or renew your claim",
        returns={200: responses.Review},
        refused=(409,),
    )
    def post(self, request: Request, review_id: str) -> Response:
        at = self.at(request)

        def claim() -> CallResult:
            row = services.claim_review(
                actor=self.actor(request), review_id=parse_id("review", review_id), at=at
            )
            return CallResult(representations.review(row, at=at))

        return idempotent(request, request.data, claim)


class ReviewRelease(View):
    @operation(
        "release_review",
        scope=Scope.TASKS_REVIEW,
        summary="Release a review that you claimed",
        returns={200: responses.Review},
        refused=(409,),
    )
    def post(self, request: Request, review_id: str) -> Response:
        at = self.at(request)

        def release() -> CallResult:
            row = services.release_review(
                actor=self.actor(request), review_id=parse_id("review", review_id), at=at
            )
            return CallResult(representations.review(row, at=at))

        return idempotent(request, request.data, release)


class ReviewVerdict(View):
    @operation(
        "decide_review",
        scope=Scope.TASKS_REVIEW,
        summary="Decide a review: approve the output, send it back, or reject it",
        returns={200: responses.Review},
        body=Verdict,
        refused=(409,),
    )
    def post(self, request: Request, review_id: str) -> Response:
        verdict, at = parse(Verdict, request.data), self.at(request)

        def decide() -> CallResult:
            row = services.give_verdict(
                actor=self.actor(request),
                review_id=parse_id("review", review_id),
                verdict=verdict,
                at=at,
            )
            shown = representations.review(row, at=at)
            return CallResult(shown, closed_tasks=closed_ids([row.task]))

        return idempotent(request, request.data, decide)


class ReviewVerdicts(View):
    @operation(
        "decide_reviews",
        scope=Scope.TASKS_REVIEW,
        summary=f"Decide up to {MAX_VERDICTS} reviews, each with a result of its own",
        returns={200: responses.VerdictResults},
        body=Verdicts,
    )
    def post(self, request: Request) -> Response:
        body = parse(Verdicts, request.data)
        self.actor(request).require(Scope.TASKS_REVIEW)

        def decide() -> CallResult:
            results = services.give_verdicts(
                actor=self.actor(request), verdicts=body.verdicts, at=self.at(request)
            )
            return self._decided(request, results)

        return idempotent(request, request.data, decide)

    def _decided(self, request: Request, results: Mapping[UUID, Any]) -> CallResult:
        data = []
        for review_id, result in results.items():
            if isinstance(result, BioLayerError):
                problem = Problem(**problem_of(request, result))
                row = responses.VerdictResult(
                    review_id=review_id, status=problem.status, problem=problem
                )
            else:
                shown = representations.review(result, at=self.at(request))
                row = responses.VerdictResult(review_id=review_id, status=200, review=shown)
            data.append(row)
        decided = [row for row in results.values() if not isinstance(row, BioLayerError)]
        body = responses.VerdictResults(
            data=data, decided=len(decided), refused=len(data) - len(decided)
        )
        return CallResult(body, closed_tasks=closed_ids([row.task for row in decided]))
