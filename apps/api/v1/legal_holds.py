"""Serve `/v1/legal-holds`, for administrators."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import check_no_filters
from apps.api.v1.representations import legal_holds as representations
from apps.tasks import selectors, services
from biolayer.contract import parse
from biolayer.requests.legal_holds import NewLegalHold
from biolayer.responses import legal_holds as responses

NEWEST_FIRST = Keyset(("placed_at", "id"), descending=True)


class LegalHolds(View):
    @operation(
        "list_legal_holds",
        scope=Scope.ORGANISATION_READ,
        summary="List legal holds, released ones included, newest first",
        returns={200: responses.LegalHoldPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        holds = page(request, selectors.legal_holds(actor=self.actor(request)), NEWEST_FIRST)
        data = [representations.legal_hold(row) for row in holds.rows]
        return Response(responses.LegalHoldPage(data=data, next_cursor=holds.next_cursor))

    @operation(
        "place_legal_hold",
        scope=Scope.ORGANISATION_MANAGE,
        summary="Hold the content of a task, or of all tasks of the organisation",
        returns={201: responses.LegalHold},
        body=NewLegalHold,
    )
    def post(self, request: Request) -> Response:
        hold = parse(NewLegalHold, request.data)

        def place() -> CallResult:
            placed = services.place_hold(
                actor=self.actor(request),
                task_id=hold.task_id,
                reason=hold.reason,
                at=self.at(request),
            )
            headers = {"Location": f"/v1/legal-holds/{placed.id}"}
            return CallResult(representations.legal_hold(placed), 201, headers)

        return idempotent(request, request.data, place)


class LegalHold(View):
    @operation(
        "get_legal_hold",
        scope=Scope.ORGANISATION_READ,
        summary="Get a legal hold",
        returns={200: responses.LegalHold},
    )
    def get(self, request: Request, hold_id: str) -> Response:
        hold = selectors.legal_hold(
            actor=self.actor(request), hold_id=parse_id("legal hold", hold_id)
        )
        return Response(representations.legal_hold(hold))


class LegalHoldRelease(View):
    @operation(
        "release_legal_hold",
        scope=Scope.ORGANISATION_MANAGE,
        summary="Release a legal hold: content whose retention has ended is deleted",
        returns={200: responses.LegalHold},
    )
    def post(self, request: Request, hold_id: str) -> Response:
        def release() -> CallResult:
            hold = services.release_hold(
                actor=self.actor(request),
                hold_id=parse_id("legal hold", hold_id),
                at=self.at(request),
            )
            return CallResult(representations.legal_hold(hold))

        return idempotent(request, request.data, release)
