"""Serve the inbox and the dashboard (`/api/observe/tasks`), and the triage of a task."""

from collections.abc import Callable
from typing import get_args

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.operations import Query, operation
from apps.api.operations import observe_representations as representations
from apps.api.operations.observe_requests import DashboardQuery, InboxQuery, asked
from apps.api.operations.observe_responses import DashboardAnswer, InboxAnswer, TriageAnswer
from apps.api.operations.projections import OriginKind, OwnerKind
from apps.api.operations.views import OperationsView, answer
from apps.operations import selectors, services
from apps.operations.projection import Scope as TaskScope
from apps.operations.selectors import Triage
from apps.operations.selectors.inbox import LANES

SELECTION = (
    Query(
        "scope",
        {"type": "string", "enum": list(get_args(TaskScope))},
        "Only tasks of this scope.",
        "workspace",
    ),
    Query(
        "workspace",
        {"type": "string"},
        "Only tasks of this pool, by ID or name; needs the scope `workspace`.",
        "Ops",
    ),
    Query(
        "owner_kind",
        {"type": "string", "enum": list(get_args(OwnerKind))},
        "Only tasks with such an owner.",
        "pool",
    ),
    Query("owner_ref", {"type": "string"}, "Only tasks of this owner.", "drafter"),
)
OF_INBOX = (
    Query("lane", {"type": "string", "enum": list(LANES)}, "Only this lane.", "approvals"),
    Query("unread", {"type": "boolean"}, "Only unread items.", example=True),
    Query("query", {"type": "string"}, "Only tasks with this in title or identifier.", "reply"),
    Query("limit", {"type": "integer", "minimum": 0}, "The most items of a lane; 0: 500.", 50),
)
OF_DASHBOARD = (
    Query("network_channel", {"type": "string"}, "Only tasks and runs of this channel.", "ops"),
    Query(
        "origin_kind",
        {"type": "string", "enum": list(get_args(OriginKind))},
        "Only tasks and runs that came by this way.",
        "http",
    ),
)


class TaskInbox(OperationsView):
    @operation(
        "getTaskInbox",
        scope=Scope.TASKS_READ,
        summary="Triage inbox of the calling actor, grouped in lanes",
        returns={200: InboxAnswer},
        query=(*SELECTION, *OF_INBOX),
        refused=(404,),
    )
    def get(self, request: Request) -> Response:
        query = asked(InboxQuery, request.query_params)
        caller = self.caller(request)
        lanes = selectors.inbox(
            caller=caller,
            asked=query.selected(),
            lane=query.lane,
            is_unread=query.unread,
            limit=query.items,
        )
        return answer(InboxAnswer(inbox=representations.inbox(caller, lanes)))


class TaskDashboard(OperationsView):
    @operation(
        "getTaskDashboard",
        scope=Scope.TASKS_READ,
        summary="Aggregated task and run figures",
        returns={200: DashboardAnswer},
        query=(*SELECTION, *OF_DASHBOARD),
        refused=(404,),
    )
    def get(self, request: Request) -> Response:
        query = asked(DashboardQuery, request.query_params)
        seen = selectors.dashboard(
            actor=self.caller(request).principal, asked=query.selected(), at=self.at(request)
        )
        return answer(DashboardAnswer(dashboard=representations.dashboard(seen)))


class _TriageView(OperationsView):
    """Note how the caller deals with a task."""

    def note(self, request: Request, task_id: str, service: Callable[..., Triage]) -> Response:
        caller = self.caller(request)
        state = service(caller=caller, task_id=task_id, at=self.at(request))
        return answer(TriageAnswer(triage=representations.triage(caller, state)))


class TaskRead(_TriageView):
    @operation(
        "markTaskRead",
        scope=Scope.TASKS_READ,
        summary="Mark a task as read for the calling actor",
        returns={200: TriageAnswer},
    )
    def post(self, request: Request, task_id: str) -> Response:
        return self.note(request, task_id, services.mark_read)


class TaskDismiss(_TriageView):
    @operation(
        "dismissTask",
        scope=Scope.TASKS_READ,
        summary="Hide a task from the calling actor's inbox until new activity",
        returns={200: TriageAnswer},
    )
    def post(self, request: Request, task_id: str) -> Response:
        return self.note(request, task_id, services.dismiss)


class TaskArchive(_TriageView):
    @operation(
        "archiveTask",
        scope=Scope.TASKS_READ,
        summary="Archive a task in the calling actor's inbox",
        returns={200: TriageAnswer},
    )
    def post(self, request: Request, task_id: str) -> Response:
        return self.note(request, task_id, services.archive)
