"""Serve the thread of a task, to its callers and to its workers."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import check_no_filters
from apps.api.v1.representations import tasks as representations
from apps.tasks import selectors, services
from biolayer.contract import parse
from biolayer.requests.tasks import NewMessage
from biolayer.responses.messages import Message, MessagePage

IN_ORDER = Keyset(("sequence",))


class TaskMessages(View):
    @operation(
        "list_messages",
        scope=Scope.TASKS_READ,
        summary="List the messages about a task, oldest first; a worker that has or had the task"
        " needs only the scope `work`",
        returns={200: MessagePage},
        query=PAGED,
    )
    def get(self, request: Request, task_id: str) -> Response:
        check_no_filters(request)
        rows = selectors.messages(actor=self.actor(request), task_id=parse_id("task", task_id))
        messages = page(request, rows, IN_ORDER)
        data = [representations.message(row) for row in messages.rows]
        return Response(MessagePage(data=data, next_cursor=messages.next_cursor))

    @operation(
        "post_message",
        scope=Scope.TASKS_CREATE,
        summary="Post a message about an open task, to its worker; a worker that has or had the"
        " task posts to its caller, with the scope `work`",
        returns={201: Message},
        body=NewMessage,
    )
    def post(self, request: Request, task_id: str) -> Response:
        text = parse(NewMessage, request.data).text

        def post() -> CallResult:
            row = services.post_message(
                actor=self.actor(request),
                task_id=parse_id("task", task_id),
                text=text,
                at=self.at(request),
            )
            return CallResult(representations.message(row), 201)

        return idempotent(request, request.data, post)
