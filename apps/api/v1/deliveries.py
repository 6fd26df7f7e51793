"""Serve `/v1/deliveries`: deliveries, their attempts, and sending one again."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import DELIVERY_FILTERS, check_no_filters, delivery_filter
from apps.api.v1.representations import webhooks as representations
from apps.webhooks import selectors, services
from biolayer.responses import webhooks as responses

NEWEST_FIRST = Keyset(("created_at", "id"), descending=True)
BY_NUMBER = Keyset(("number",))


class Deliveries(View):
    @operation(
        "list_deliveries",
        scope=Scope.WEBHOOKS_READ,
        summary="List deliveries, newest first",
        returns={200: responses.DeliveryPage},
        query=(*DELIVERY_FILTERS, *PAGED),
    )
    def get(self, request: Request) -> Response:
        at = self.at(request)
        visible = selectors.deliveries(
            actor=self.actor(request), delivery_filter=delivery_filter(request)
        )
        deliveries = page(request, visible, NEWEST_FIRST)
        data = [representations.delivery(row, at=at) for row in deliveries.rows]
        return Response(responses.DeliveryPage(data=data, next_cursor=deliveries.next_cursor))


class Delivery(View):
    @operation(
        "get_delivery",
        scope=Scope.WEBHOOKS_READ,
        summary="Get a delivery with its body, its last attempts, and what it waits for",
        returns={200: responses.DeliveryInFull},
    )
    def get(self, request: Request, delivery_id: str) -> Response:
        delivery = selectors.delivery(
            actor=self.actor(request), delivery_id=parse_id("delivery", delivery_id)
        )
        return Response(representations.delivery_in_full(delivery, at=self.at(request)))


class DeliveryAttempts(View):
    @operation(
        "list_delivery_attempts",
        scope=Scope.WEBHOOKS_READ,
        summary="List the attempts of a delivery, oldest first",
        returns={200: responses.AttemptPage},
        query=PAGED,
    )
    def get(self, request: Request, delivery_id: str) -> Response:
        check_no_filters(request)
        delivery = selectors.delivery(
            actor=self.actor(request), delivery_id=parse_id("delivery", delivery_id)
        )
        attempts = page(request, selectors.attempts(delivery=delivery), BY_NUMBER)
        data = [representations.attempt(row) for row in attempts.rows]
        return Response(responses.AttemptPage(data=data, next_cursor=attempts.next_cursor))


class DeliveryResend(View):
    @operation(
        "resend_delivery",
        scope=Scope.WEBHOOKS_MANAGE,
        summary="Send a delivery again, with its whole retry budget",
        returns={202: responses.Delivery},
    )
    def post(self, request: Request, delivery_id: str) -> Response:
        def resend() -> CallResult:
            at = self.at(request)
            delivery = services.resend(
                actor=self.actor(request), delivery_id=parse_id("delivery", delivery_id), at=at
            )
            return CallResult(representations.delivery(delivery, at=at), 202)

        return idempotent(request, request.data, resend)
