"""Serve `/v1/tasks`, for product backends."""

import json
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page, page_of
from apps.api.http.parsing import BatchParser, LinesParser
from apps.api.http.problems import problem_of
from apps.api.http.rendering import RenderedPage
from apps.api.http.versions import check_version, etag
from apps.api.http.views import View, parse_id
from apps.api.v1.examples import CONTRACT
from apps.api.v1.filters import ATOMIC, TASK_FILTERS, check_no_filters, is_atomic, task_filters
from apps.api.v1.rendered_tasks import rendered_task, rendered_tasks
from apps.api.v1.representations import events as event_representations
from apps.api.v1.representations import matching as match_representations
from apps.api.v1.representations import tasks as representations
from apps.events import selectors as events
from apps.matching import services as matching
from apps.matching.explain import explain_match
from apps.tasks import selectors, services
from apps.tasks.selectors import closed_ids
from biolayer.contract import MAX_TASKS_PER_BATCH, TaskContract, TaskContracts, parse
from biolayer.errors import BioLayerError, Fault, InvalidInput
from biolayer.requests.tasks import Cancellation, TaskChanges
from biolayer.responses import tasks as responses
from biolayer.responses.events import EventPage
from biolayer.responses.matching import Match
from biolayer.responses.problems import Problem

BY_SEQUENCE = Keyset(("sequence",))


class Tasks(View):
    @operation(
        "create_task",
        scope=Scope.TASKS_CREATE,
        summary="Create a task (200: the same product sent this request before)",
        returns={201: responses.Task, 200: responses.Task},
        body=TaskContract,
    )
    def post(self, request: Request) -> Response:
        actor, at, document = self.actor(request), self.at(request), request.data

        def create() -> CallResult:
            created = services.create_task(actor=actor, document=document, at=at)
            return _created(created.task, is_new=created.is_new)

        def create_at_once() -> CallResult | None:
            task = services.create_unless_refused(actor=actor, document=document, at=at)
            return None if task is None else _created(task, is_new=True)

        return idempotent(request, document, create, at_once=create_at_once)

    @operation(
        "list_tasks",
        scope=Scope.TASKS_READ,
        summary="List tasks, newest first",
        returns={200: responses.TaskPage},
        query=(*TASK_FILTERS, *PAGED),
    )
    def get(self, request: Request) -> Response:
        actor, filters = self.actor(request), task_filters(request)
        search = selectors.search_of(actor=actor, text=filters.text) if filters.text else None

        def read(after: Sequence[Any] | None, count: int) -> Sequence[Any]:
            return selectors.first_tasks(
                actor=actor, filters=filters, search=search, after=after, count=count
            )

        versions, next_cursor = page_of(request, read, selectors.BY_AGE)
        tasks = rendered_tasks(actor=actor, versions=versions)
        return Response(RenderedPage(tasks, next_cursor))


def _created(task: Any, *, is_new: bool) -> CallResult:
    body, headers = representations.task(task), {"Location": f"/v1/tasks/{task.id}"}
    if is_new:
        return CallResult(body, 201, headers)
    headers |= {"Natural-Key-Replayed": "true"}
    return CallResult(body, 200, headers, closed_tasks=closed_ids([task]))


class TaskBatch(View):
    parser_classes = [BatchParser, LinesParser]

    @operation(
        "create_tasks",
        scope=Scope.TASKS_CREATE,
        summary=f"Create up to {MAX_TASKS_PER_BATCH} tasks, each with a result of its own",
        returns={200: responses.TaskBatch},
        body=TaskContracts,
        query=(ATOMIC,),
        other_bodies={
            LinesParser.media_type: {
                "schema": {"type": "string"},
                "example": json.dumps(CONTRACT),
            }
        },
    )
    def post(self, request: Request) -> Response:
        actor, at = self.actor(request), self.at(request)
        # Before the body is read: it may be larger than that of other calls.
        actor.require(Scope.TASKS_CREATE)
        all_or_nothing = is_atomic(request)
        documents = _documents(request)
        drafts = services.draft_tasks(actor=actor, documents=documents, at=at)

        def create() -> CallResult:
            results = services.create_tasks(
                actor=actor,
                drafts=drafts,
                at=at,
                all_or_nothing=all_or_nothing,
            )
            tasks = [one.task for one in results if not isinstance(one, BioLayerError)]
            return CallResult(_batch(request, results), closed_tasks=closed_ids(tasks))

        contracts = [str(item) if isinstance(item, BioLayerError) else item for item in documents]
        return idempotent(request, {"atomic": all_or_nothing, "documents": contracts}, create)


def _documents(request: Request) -> list[Any]:
    """Return the contracts of a batch. Raise `InvalidInput` unless it is an array of 1 to 500."""
    documents = request.data
    if not isinstance(documents, list):
        raise InvalidInput([Fault("", "wrong_type", "must be an array of contracts")])
    if not 1 <= len(documents) <= MAX_TASKS_PER_BATCH:
        text = f"must have 1 to {MAX_TASKS_PER_BATCH} contracts"
        raise InvalidInput([Fault("", "out_of_range", text)])
    return documents


def _batch(request: Request, results: Sequence[services.Result]) -> responses.TaskBatch:
    data = [_result(request, result) for result in results]
    statuses = Counter(result.status for result in data)
    created, replayed = statuses[HTTPStatus.CREATED], statuses[HTTPStatus.OK]
    refused = len(data) - created - replayed
    return responses.TaskBatch(data=data, created=created, replayed=replayed, refused=refused)


def _result(request: Request, result: services.Result) -> responses.TaskResult:
    if isinstance(result, BioLayerError):
        problem = Problem(**problem_of(request, result))
        return responses.TaskResult(status=problem.status, problem=problem)
    status = HTTPStatus.CREATED if result.is_new else HTTPStatus.OK
    return responses.TaskResult(status=status.value, task=representations.task(result.task))


class Task(View):
    @operation(
        "get_task",
        scope=Scope.TASKS_READ,
        summary="Get a task; its output once that is verified",
        returns={200: responses.Task},
    )
    def get(self, request: Request, task_id: str) -> Response:
        task = rendered_task(actor=self.actor(request), task_id=parse_id("task", task_id))
        return Response(task.body, headers=etag(task.version))

    @operation(
        "update_task",
        scope=Scope.TASKS_MANAGE,
        summary="Change the SLA or the requirements of an open task; `If-Match` has its ETag",
        returns={200: responses.Task},
        body=TaskChanges,
        needs_version=True,
        refused=(409,),
    )
    def patch(self, request: Request, task_id: str) -> Response:
        task = matching.update_task(
            actor=self.actor(request),
            task_id=parse_id("task", task_id),
            changes=parse(TaskChanges, request.data),
            check_version=lambda version: check_version(request, version),
            at=self.at(request),
        )
        return Response(representations.task(task), headers=etag(task.version))


class TaskCancel(View):
    @operation(
        "cancel_task",
        scope=Scope.TASKS_CANCEL,
        summary="Cancel a task; refused once an output was submitted",
        returns={200: responses.Task},
        body=Cancellation,
    )
    def post(self, request: Request, task_id: str) -> Response:
        cancellation = parse(Cancellation, request.data)

        def cancel() -> CallResult:
            task = services.cancel_task(
                actor=self.actor(request),
                task_id=parse_id("task", task_id),
                reason=cancellation.reason,
                at=self.at(request),
            )
            return CallResult(representations.task(task), closed_tasks=closed_ids([task]))

        return idempotent(request, request.data, cancel)


class TaskMatch(View):
    @operation(
        "explain_match",
        scope=Scope.TASKS_READ,
        summary="Explain the matching of a task: eligible workers, open offers, what excludes"
        " workers, what happens next",
        returns={200: Match},
    )
    def get(self, request: Request, task_id: str) -> Response:
        explanation = explain_match(
            actor=self.actor(request), task_id=parse_id("task", task_id), at=self.at(request)
        )
        return Response(match_representations.match(explanation))


class TaskEvents(View):
    @operation(
        "list_task_events",
        scope=Scope.TASKS_READ,
        summary="List a task's events, oldest first",
        returns={200: EventPage},
        query=PAGED,
    )
    def get(self, request: Request, task_id: str) -> Response:
        check_no_filters(request)
        task = selectors.task(actor=self.actor(request), task_id=parse_id("task", task_id))
        log: Any = events.task_events(task_id=task.id)
        log_page = page(request, log, BY_SEQUENCE)
        data = [event_representations.event(row) for row in log_page.rows]
        return Response(EventPage(data=data, next_cursor=log_page.next_cursor))
