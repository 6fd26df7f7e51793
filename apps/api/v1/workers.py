"""Serve `/v1/workers` and `/v1/skills`: workers, and the skills that they have."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page, page_of
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import WORKER_FILTERS, check_no_filters, worker_filters
from apps.api.v1.representations import pools as representations
from apps.matching import queue_stats
from apps.pools import selectors, services
from biolayer.requests.pools import WorkerChange, WorkerCreation
from biolayer.responses import pools as responses

NEWEST_FIRST = Keyset(("id",), descending=True)
BY_NAME = Keyset(("skill",))


class Workers(View):
    @operation(
        "create_worker",
        scope=Scope.POOLS_MANAGE,
        summary="Create a worker",
        returns={201: responses.Worker},
        body=WorkerCreation,
    )
    def post(self, request: Request) -> Response:
        def create() -> CallResult:
            at = self.at(request)
            worker = services.create_worker(actor=self.actor(request), document=request.data, at=at)
            location = {"Location": f"/v1/workers/{worker.id}"}
            return CallResult(representations.worker(worker, at=at), 201, location)

        return idempotent(request, request.data, create)

    @operation(
        "list_workers",
        scope=Scope.POOLS_READ,
        summary="List workers, newest first",
        returns={200: responses.WorkerPage},
        query=(*WORKER_FILTERS, *PAGED),
    )
    def get(self, request: Request) -> Response:
        visible = selectors.workers(actor=self.actor(request), filters=worker_filters(request))
        workers = page(request, visible, NEWEST_FIRST)
        data = [representations.worker(row, at=self.at(request)) for row in workers.rows]
        return Response(responses.WorkerPage(data=data, next_cursor=workers.next_cursor))


class Worker(View):
    @operation(
        "get_worker",
        scope=Scope.POOLS_READ,
        summary="Get a worker",
        returns={200: responses.Worker},
    )
    def get(self, request: Request, worker_id: str) -> Response:
        worker = selectors.worker(
            actor=self.actor(request), worker_id=parse_id("worker", worker_id)
        )
        return Response(representations.worker(worker, at=self.at(request)))

    @operation(
        "update_worker",
        scope=Scope.POOLS_MANAGE,
        summary="Change the given fields of a worker",
        returns={200: responses.Worker},
        body=WorkerChange,
    )
    def patch(self, request: Request, worker_id: str) -> Response:
        at = self.at(request)
        worker = services.update_worker(
            actor=self.actor(request),
            worker_id=parse_id("worker", worker_id),
            document=request.data,
            at=at,
        )
        return Response(representations.worker(worker, at=at))

    @operation(
        "delete_worker",
        scope=Scope.POOLS_MANAGE,
        summary="Delete a worker that was never offered a task, with its keys",
        returns={204: None},
        refused=(409,),
    )
    def delete(self, request: Request, worker_id: str) -> Response:
        services.delete_worker(
            actor=self.actor(request),
            worker_id=parse_id("worker", worker_id),
            at=self.at(request),
        )
        return Response(status=204)


class Skills(View):
    @operation(
        "list_skills",
        scope=Scope.POOLS_READ,
        summary="List the skills that workers have or queued tasks require, by name",
        returns={200: responses.SkillPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)

        def read(after: Sequence[Any] | None, count: int) -> Sequence[queue_stats.SkillCounts]:
            last = after[0] if after else ""
            return queue_stats.skill_counts(actor=self.actor(request), after=last, count=count)

        skills = page_of(request, read, BY_NAME)
        data = [responses.Skill(**asdict(row)) for row in skills.rows]
        return Response(responses.SkillPage(data=data, next_cursor=skills.next_cursor))
