"""Serve `/v1/recoveries`: failed or missed deliveries are sent again."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import check_no_filters
from apps.api.v1.representations import webhooks as representations
from apps.webhooks import selectors, services
from biolayer.contract import parse
from biolayer.requests.webhooks import RecoveryRequest
from biolayer.responses import webhooks as responses

NEWEST_FIRST = Keyset(("created_at", "id"), descending=True)


class Recoveries(View):
    @operation(
        "start_recovery",
        scope=Scope.WEBHOOKS_MANAGE,
        summary="Send again all failed deliveries, or all that an endpoint missed",
        returns={202: responses.Recovery},
        body=RecoveryRequest,
        refused=(404,),
    )
    def post(self, request: Request) -> Response:
        recovery_request = parse(RecoveryRequest, request.data, now=self.at(request))

        def start() -> CallResult:
            recovery = services.start_recovery(
                actor=self.actor(request), request=recovery_request, at=self.at(request)
            )
            location = {"Location": f"/v1/recoveries/{recovery.id}"}
            return CallResult(representations.recovery(recovery), 202, location)

        return idempotent(request, request.data, start)

    @operation(
        "list_recoveries",
        scope=Scope.WEBHOOKS_READ,
        summary="List recoveries with their progress, newest first",
        returns={200: responses.RecoveryPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        recoveries = page(request, selectors.recoveries(actor=self.actor(request)), NEWEST_FIRST)
        data = [representations.recovery(row) for row in recoveries.rows]
        return Response(responses.RecoveryPage(data=data, next_cursor=recoveries.next_cursor))


class Recovery(View):
    @operation(
        "get_recovery",
        scope=Scope.WEBHOOKS_READ,
        summary="Get a recovery with its progress",
        returns={200: responses.Recovery},
    )
    def get(self, request: Request, recovery_id: str) -> Response:
        recovery = selectors.recovery(
            actor=self.actor(request), recovery_id=parse_id("recovery", recovery_id)
        )
        return Response(representations.recovery(recovery))
