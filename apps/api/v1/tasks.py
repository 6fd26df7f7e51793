"""`/v1/tasks`: for product backends."""

from collections.abc import Sequence
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.http.idempotency import Answer, idempotent
from apps.api.http.pagination import Keyset, page, page_of
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import no_filters, task_filters
from apps.api.v1.representations import events as event_representations
from apps.api.v1.representations import tasks as representations
from apps.events import selectors as events
from apps.matching.explain import explained
from apps.tasks import selectors, services
from biolayer.contract import Cancellation, parse
from biolayer.responses.tasks import EventPage, TaskPage

NEWEST_FIRST = Keyset(("created_at", "id"), descending=True)
BY_SEQUENCE = Keyset(("sequence",))


class Tasks(View):
    takes_query = True

    def post(self, request: Request) -> Response:
        document = request.data

        def create() -> Answer:
            created = services.create_task(
                actor=self.actor(request), document=document, at=self.at(request)
            )
            shown = representations.task(created.task)
            headers = {"Location": f"/v1/tasks/{created.task.id}"}
            if created.is_new:
                return Answer(shown, 201, headers)
            return Answer(shown, 200, headers | {"Natural-Key-Replayed": "true"})

        return idempotent(request, document, create)

    def get(self, request: Request) -> Response:
        actor, wanted = self.actor(request), task_filters(request)

        def read(after: Sequence[Any] | None, count: int) -> Sequence[Any]:
            return selectors.first_tasks(
                actor=actor,
                wanted=wanted,
                narrowed=lambda rows: rows if after is None else NEWEST_FIRST.after(rows, after),
                count=count,
            )

        found = page_of(request, read, NEWEST_FIRST)
        shown = [representations.task(task) for task in found.rows]
        return Response(TaskPage(data=shown, next_cursor=found.next_cursor))


class Task(View):
    def get(self, request: Request, task_id: str) -> Response:
        task = selectors.task(actor=self.actor(request), task_id=parse_id("task", task_id))
        return Response(representations.task(task))


class TaskCancel(View):
    def post(self, request: Request, task_id: str) -> Response:
        wanted = parse(Cancellation, request.data)

        def cancel() -> Answer:
            task = services.cancel_task(
                actor=self.actor(request),
                task_id=parse_id("task", task_id),
                reason=wanted.reason,
                at=self.at(request),
            )
            return Answer(representations.task(task))

        return idempotent(request, request.data, cancel)


class TaskMatch(View):
    def get(self, request: Request, task_id: str) -> Response:
        return Response(
            explained(
                actor=self.actor(request),
                task_id=parse_id("task", task_id),
                at=self.at(request),
            )
        )


class TaskEvents(View):
    takes_query = True

    def get(self, request: Request, task_id: str) -> Response:
        no_filters(request)
        task = selectors.task(actor=self.actor(request), task_id=parse_id("task", task_id))
        log: Any = events.of_task(task_id=task.id)
        found = page(request, log, BY_SEQUENCE)
        shown = [event_representations.event(event) for event in found.rows]
        return Response(EventPage(data=shown, next_cursor=found.next_cursor))
