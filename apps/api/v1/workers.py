"""`/v1/workers` and `/v1/skills`: who does the tasks, and what they can."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.http.idempotency import Answer, once
from apps.api.http.pagination import Keyset, page, page_of
from apps.api.http.views import View, identified
from apps.api.v1.filters import no_filters, worker_filters
from apps.matching import demand
from apps.pools import selectors, services

NEWEST_FIRST = Keyset(("id",), descending=True)


class Workers(View):
    takes_query = True

    def post(self, request: Request) -> Response:
        def create() -> Answer:
            at = self.at(request)
            worker = services.create_worker(actor=self.actor(request), document=request.data, at=at)
            location = {"Location": f"/v1/workers/{worker.id}"}
            return Answer(selectors.shown_worker(worker, at=at), 201, location)

        return once(request, request.data, create)

    def get(self, request: Request) -> Response:
        found = selectors.workers(actor=self.actor(request), wanted=worker_filters(request))
        shown = partial(selectors.shown_worker, at=self.at(request))
        return Response(page(request, found, NEWEST_FIRST, shown))


class Worker(View):
    def get(self, request: Request, worker_id: str) -> Response:
        worker = selectors.worker(
            actor=self.actor(request), worker_id=identified("worker", worker_id)
        )
        return Response(selectors.shown_worker(worker, at=self.at(request)))

    def patch(self, request: Request, worker_id: str) -> Response:
        at = self.at(request)
        worker = services.update_worker(
            actor=self.actor(request),
            worker_id=identified("worker", worker_id),
            document=request.data,
            at=at,
        )
        return Response(selectors.shown_worker(worker, at=at))

    def delete(self, request: Request, worker_id: str) -> Response:
        services.delete_worker(actor=self.actor(request), worker_id=identified("worker", worker_id))
        return Response(status=204)


class Skills(View):
    takes_query = True

    def get(self, request: Request) -> Response:
        no_filters(request)

        def read(after: Sequence[Any] | None, count: int) -> Sequence[demand.Skill]:
            last = after[0] if after else ""
            return demand.skills(actor=self.actor(request), after=last, count=count)

        return Response(page_of(request, read, ["skill"], asdict))
