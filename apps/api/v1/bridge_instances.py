"""Serve `/v1/bridge-instances`: connectors to chat systems, which `/api` subscribes to tasks."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View
from apps.api.v1.filters import check_no_filters
from apps.api.v1.representations import bridges as representations
from apps.operations import selectors, services
from biolayer.requests.bridges import BridgeInstanceChange, BridgeInstanceCreation
from biolayer.responses import bridges as responses

NEWEST_FIRST = Keyset(("created_at", "id"), descending=True)


class BridgeInstances(View):
    @operation(
        "create_bridge_instance",
        scope=Scope.WEBHOOKS_MANAGE,
        summary="Create a bridge instance",
        returns={201: responses.BridgeInstance},
        body=BridgeInstanceCreation,
    )
    def post(self, request: Request) -> Response:
        def create() -> CallResult:
            made = services.create_bridge_instance(
                actor=self.actor(request), document=request.data, at=self.at(request)
            )
            location = {"Location": f"/v1/bridge-instances/{made.row.wire_id}"}
            return CallResult(representations.bridge_instance(made), 201, location)

        return idempotent(request, request.data, create)

    @operation(
        "list_bridge_instances",
        scope=Scope.WEBHOOKS_READ,
        summary="List bridge instances, newest first",
        returns={200: responses.BridgeInstancePage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        visible = selectors.visible_bridges(self.actor(request)).order_by("-created_at", "-id")
        bridges = page(request, visible, NEWEST_FIRST)
        views = selectors.bridge_views(list(bridges.rows))
        data = [representations.bridge_instance(view) for view in views]
        return Response(responses.BridgeInstancePage(data=data, next_cursor=bridges.next_cursor))


class BridgeInstance(View):
    @operation(
        "get_bridge_instance",
        scope=Scope.WEBHOOKS_READ,
        summary="Get a bridge instance",
        returns={200: responses.BridgeInstance},
    )
    def get(self, request: Request, bridge_instance_id: str) -> Response:
        found = selectors.bridge_instance(actor=self.actor(request), wire_id=bridge_instance_id)
        return Response(representations.bridge_instance(found))

    @operation(
        "update_bridge_instance",
        scope=Scope.WEBHOOKS_MANAGE,
        summary="Change the given fields of a bridge instance; `enabled` pauses it, or sends what"
        " waits; `muted` lets notifications pass unsent",
        returns={200: responses.BridgeInstance},
        body=BridgeInstanceChange,
    )
    def patch(self, request: Request, bridge_instance_id: str) -> Response:
        changed = services.update_bridge_instance(
            actor=self.actor(request),
            wire_id=bridge_instance_id,
            document=request.data,
            at=self.at(request),
        )
        return Response(representations.bridge_instance(changed))

    @operation(
        "delete_bridge_instance",
        scope=Scope.WEBHOOKS_MANAGE,
        summary="Delete a bridge instance with its subscriptions and deliveries",
        returns={204: None},
    )
    def delete(self, request: Request, bridge_instance_id: str) -> Response:
        services.delete_bridge_instance(
            actor=self.actor(request), wire_id=bridge_instance_id, at=self.at(request)
        )
        return Response(status=204)
