"""Serve the subscriptions of bridges to the ends of tasks."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.operations import operation
from apps.api.operations.bridge_requests import (
    SUBSCRIPTIONS_QUERY,
    BridgeSubscriptionBody,
    subscription_filters,
)
from apps.api.operations.bridge_responses import (
    BridgeSubscriptionAnswer,
    BridgeSubscriptionList,
    shown,
)
from apps.api.operations.views import OperationsView, answer
from apps.operations import selectors, services


class BridgeSubscriptions(OperationsView):
    bad_requests = frozenset({"GET", "POST"})

    @operation(
        "listTaskBridgeNotificationSubscriptions",
        scope=Scope.TASKS_READ,
        summary="List bridge notification subscriptions of a task",
        returns={200: BridgeSubscriptionList},
        query=SUBSCRIPTIONS_QUERY,
        refused=(400,),
    )
    def get(self, request: Request, task_id: str) -> Response:
        filters = subscription_filters(request.query_params)
        found = selectors.subscriptions_of(
            caller=self.caller(request), task_id=task_id, filters=filters
        )
        return answer(BridgeSubscriptionList(subscriptions=[shown(view) for view in found]))

    @operation(
        "createTaskBridgeNotificationSubscription",
        scope=Scope.TASKS_CREATE,
        summary="Subscribe a bridge to the end of a task",
        returns={201: BridgeSubscriptionAnswer},
        body=BridgeSubscriptionBody,
        refused=(400,),
    )
    def post(self, request: Request, task_id: str) -> Response:
        fields = self.body(request, BridgeSubscriptionBody).fields()
        made = services.subscribe_bridge(
            caller=self.caller(request), task_id=task_id, fields=fields, at=self.at(request)
        )
        return answer(BridgeSubscriptionAnswer(subscription=shown(made)), 201)


class BridgeSubscription(OperationsView):
    @operation(
        "getTaskBridgeNotificationSubscription",
        scope=Scope.TASKS_READ,
        summary="Read one bridge notification subscription",
        returns={200: BridgeSubscriptionAnswer},
    )
    def get(self, request: Request, task_id: str, subscription_id: str) -> Response:
        found = selectors.subscription_of(
            caller=self.caller(request), task_id=task_id, subscription_id=subscription_id
        )
        return answer(BridgeSubscriptionAnswer(subscription=shown(found)))

    @operation(
        "deleteTaskBridgeNotificationSubscription",
        scope=Scope.TASKS_CREATE,
        summary="Remove one bridge notification subscription",
        returns={204: None},
    )
    def delete(self, request: Request, task_id: str, subscription_id: str) -> Response:
        services.unsubscribe_bridge(
            caller=self.caller(request),
            task_id=task_id,
            subscription_id=subscription_id,
            at=self.at(request),
        )
        return Response(status=204)
