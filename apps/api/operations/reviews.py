"""Serve reviews of final runs: `/api/task-runs/{id}/reviews` and `/api/task-reviews/{id}`."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.agents import services
from apps.api.http.operations import operation
from apps.api.operations import representations
from apps.api.operations.review_representations import review
from apps.api.operations.review_requests import (
    REVIEWS_QUERY,
    RunReviewBody,
    SubmitVerdictBody,
    review_query,
)
from apps.api.operations.review_responses import (
    RunReviewAnswer,
    RunReviewList,
    RunReviewRequestAnswer,
    RunVerdictAnswer,
)
from apps.api.operations.views import OperationsView, answer
from apps.operations import selectors


class TaskRunReviews(OperationsView):
    bad_requests = frozenset({"GET", "POST"})

    @operation(
        "requestTaskRunReview",
        scope=Scope.TASKS_REVIEW,
        summary="Ask for a review of a finished run",
        returns={201: RunReviewRequestAnswer, 200: RunReviewRequestAnswer},
        body=RunReviewBody,
        refused=(400,),
    )
    def post(self, request: Request, run_id: str) -> Response:
        body, at = self.body(request, RunReviewBody), self.at(request)
        review_id, is_new = services.request_review(
            caller=self.caller(request), run_id=run_id, request=body.request(), at=at
        )
        shown = review(selectors.shown_review(review_id, at=at))
        return answer(RunReviewRequestAnswer(created=is_new, review=shown), 201 if is_new else 200)

    @operation(
        "listTaskRunReviews",
        scope=Scope.TASKS_READ,
        summary="List the reviews of one run",
        returns={200: RunReviewList},
        query=REVIEWS_QUERY,
        refused=(400,),
    )
    def get(self, request: Request, run_id: str) -> Response:
        found = selectors.run_reviews(
            caller=self.caller(request),
            run_id=run_id,
            query=review_query(request.query_params),
            at=self.at(request),
        )
        return answer(RunReviewList(reviews=[review(view) for view in found]))


class TaskReviews(OperationsView):
    bad_requests = frozenset({"GET"})

    @operation(
        "listTaskReviews",
        scope=Scope.TASKS_READ,
        summary="List the reviews of all runs of a task",
        returns={200: RunReviewList},
        query=REVIEWS_QUERY,
        refused=(400,),
    )
    def get(self, request: Request, task_id: str) -> Response:
        found = selectors.task_reviews(
            caller=self.caller(request),
            task_id=task_id,
            query=review_query(request.query_params),
            at=self.at(request),
        )
        return answer(RunReviewList(reviews=[review(view) for view in found]))


class TaskReview(OperationsView):
    @operation(
        "getTaskRunReview",
        scope=Scope.TASKS_READ,
        summary="Read one run review",
        returns={200: RunReviewAnswer},
    )
    def get(self, request: Request, review_id: str) -> Response:
        caller, at = self.caller(request), self.at(request)
        found = selectors.run_review(caller=caller, review_id=review_id, at=at)
        return answer(RunReviewAnswer(review=review(found)))


class TaskReviewVerdict(OperationsView):
    bad_requests = frozenset({"POST"})

    @operation(
        "submitTaskRunReviewVerdict",
        scope=Scope.TASKS_REVIEW,
        summary="Record the verdict of a run review",
        returns={200: RunVerdictAnswer},
        body=SubmitVerdictBody,
        refused=(400,),
    )
    def post(self, request: Request, review_id: str) -> Response:
        body, at = self.body(request, SubmitVerdictBody), self.at(request)
        recorded = services.submit_verdict(
            caller=self.caller(request),
            review_id=review_id,
            run_id=body.run_id,
            verdict=body.said(),
            at=at,
        )
        run = recorded.continuation
        return answer(
            RunVerdictAnswer(
                review=review(selectors.shown_review(recorded.locked.review.id, at=at)),
                circuit_opened=recorded.has_opened_circuit,
                continuation_run=None if run is None else representations.run(run),
            )
        )
