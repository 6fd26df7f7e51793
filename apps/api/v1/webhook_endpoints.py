"""Serve `/v1/webhook-endpoints`: the URLs that an organisation's events are sent to."""

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
from biolayer.requests.webhooks import EndpointChange, EndpointCreation, TestEvent
from biolayer.responses import webhooks as responses

NEWEST_FIRST = Keyset(("created_at", "id"), descending=True)


class Endpoints(View):
    @operation(
        "create_webhook_endpoint",
        scope=Scope.WEBHOOKS_MANAGE,
        summary="Create a webhook endpoint",
        returns={201: responses.WebhookEndpoint},
        body=EndpointCreation,
    )
    def post(self, request: Request) -> Response:
        def create() -> CallResult:
            at = self.at(request)
            endpoint = services.create_endpoint(
                actor=self.actor(request), document=request.data, at=at
            )
            location = {"Location": f"/v1/webhook-endpoints/{endpoint.id}"}
            return CallResult(representations.endpoint(endpoint, at=at), 201, location)

        return idempotent(request, request.data, create)

    @operation(
        "list_webhook_endpoints",
        scope=Scope.WEBHOOKS_READ,
        summary="List webhook endpoints with their health, newest first",
        returns={200: responses.WebhookEndpointPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        at = self.at(request)
        endpoints = page(request, selectors.endpoints(actor=self.actor(request)), NEWEST_FIRST)
        data = [representations.endpoint(row, at=at) for row in endpoints.rows]
        return Response(responses.WebhookEndpointPage(data=data, next_cursor=endpoints.next_cursor))


class Endpoint(View):
    @operation(
        "get_webhook_endpoint",
        scope=Scope.WEBHOOKS_READ,
        summary="Get a webhook endpoint with its health",
        returns={200: responses.WebhookEndpoint},
    )
    def get(self, request: Request, endpoint_id: str) -> Response:
        endpoint = selectors.endpoint(
            actor=self.actor(request), endpoint_id=parse_id("endpoint", endpoint_id)
        )
        return Response(representations.endpoint(endpoint, at=self.at(request)))

    @operation(
        "update_webhook_endpoint",
        scope=Scope.WEBHOOKS_MANAGE,
        summary="Change the given fields of a webhook endpoint; `enabled` pauses it, or sends what"
        " was held",
        returns={200: responses.WebhookEndpoint},
        body=EndpointChange,
    )
    def patch(self, request: Request, endpoint_id: str) -> Response:
        at = self.at(request)
        endpoint = services.update_endpoint(
            actor=self.actor(request),
            endpoint_id=parse_id("endpoint", endpoint_id),
            document=request.data,
            at=at,
        )
        return Response(representations.endpoint(endpoint, at=at))

    @operation(
        "delete_webhook_endpoint",
        scope=Scope.WEBHOOKS_MANAGE,
        summary="Delete a webhook endpoint with its deliveries",
        returns={204: None},
    )
    def delete(self, request: Request, endpoint_id: str) -> Response:
        services.delete_endpoint(
            actor=self.actor(request),
            endpoint_id=parse_id("endpoint", endpoint_id),
            at=self.at(request),
        )
        return Response(status=204)


class EndpointTest(View):
    @operation(
        "test_webhook_endpoint",
        scope=Scope.WEBHOOKS_MANAGE,
        summary="Send an example of an event type as a real delivery",
        returns={202: responses.Delivery},
        body=TestEvent,
    )
    def post(self, request: Request, endpoint_id: str) -> Response:
        test_event = parse(TestEvent, request.data)

        def send() -> CallResult:
            at = self.at(request)
            delivery = services.send_test_event(
                actor=self.actor(request),
                endpoint_id=parse_id("endpoint", endpoint_id),
                event_type=test_event.type,
                at=at,
            )
            location = {"Location": f"/v1/deliveries/{delivery.id}"}
            return CallResult(representations.delivery(delivery, at=at), 202, location)

        return idempotent(request, request.data, send)
