"""Read bridge instances, and their subscriptions to tasks."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.operations.caller import Caller
from apps.operations.models import BridgeCursor, BridgeInstance, BridgeSubscription
from apps.operations.selectors.find import task_of
from apps.webhooks.models import Destination
from biolayer.errors import NotFound

CONSUMER, STREAM = "bridge_task_subscription", "task_events"


@dataclass(frozen=True, slots=True)
class BridgeView:
    """Hold a bridge instance with the destination by which it is sent to."""

    row: BridgeInstance
    destination: Destination


def visible_bridges(
    actor: Principal, *, scope: Scope = Scope.WEBHOOKS_READ
) -> "QuerySet[BridgeInstance]":
    """Return the bridge instances that the actor sees. Raise `RoleTooLow`, `ScopeMissing`.

    A credential for some pools sees those of these workspaces.
    """
    actor.require(scope)
    rows = BridgeInstance.objects.filter(organisation_id=actor.organisation_id)
    return rows if actor.pool_ids is None else rows.filter(pool_id__in=list(actor.pool_ids))


def bridge_views(rows: "list[BridgeInstance]") -> list[BridgeView]:
    """Return bridge instances with their destinations, in their order."""
    found = Destination.objects.select_related("origin").in_bulk([row.id for row in rows])
    return [BridgeView(row, found[row.id]) for row in rows if row.id in found]


def bridge_instance(
    *, actor: Principal, wire_id: str, scope: Scope = Scope.WEBHOOKS_READ
) -> BridgeView:
    """Return a bridge instance. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    rows = visible_bridges(actor, scope=scope)
    views = bridge_views(list(rows.filter(wire_id=wire_id)) if "\x00" not in wire_id else [])
    if not views:
        raise NotFound("bridge instance")
    return views[0]


@dataclass(frozen=True, slots=True)
class SubscriptionFilters:
    """Hold what a list is restricted to: empty texts restrict nothing."""

    limit: int
    bridge_instance_id: str = ""
    scope: str = ""
    workspace_id: str = ""

    def condition(self) -> Q:
        condition = Q()
        if self.bridge_instance_id:
            condition &= Q(bridge__wire_id=self.bridge_instance_id)
        if self.scope:
            condition &= Q(bridge__pool_id__isnull=self.scope == "global")
        if self.workspace_id:
            condition &= Q(bridge__pool_id=_uuid(self.workspace_id))
        return condition


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    """Hold a subscription with its bridge, its cursor, and the id of its task on the wire."""

    row: BridgeSubscription
    cursor: BridgeCursor
    task_id: str

    @property
    def consumer_id(self) -> str:
        return f"{CONSUMER}:{self.row.wire_id}"


def subscriptions_of(
    *, caller: Caller, task_id: str, filters: SubscriptionFilters
) -> list[SubscriptionView]:
    """Return the subscriptions to a task, the last updated first, then by id.

    Raise `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    task = task_of(caller, task_id)
    rows = _subscriptions(task.id).filter(filters.condition())
    return subscription_views(
        task_id, list(rows.order_by("-updated_at", "wire_id")[: filters.limit])
    )


def subscription_of(*, caller: Caller, task_id: str, subscription_id: str) -> SubscriptionView:
    """Return a subscription to a task. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    task = task_of(caller, task_id)
    rows = (
        [] if "\x00" in subscription_id else _subscriptions(task.id).filter(wire_id=subscription_id)
    )
    views = subscription_views(task_id, list(rows))
    if not views:
        raise NotFound("subscription")
    return views[0]


def subscription_views(task_id: str, rows: list[BridgeSubscription]) -> list[SubscriptionView]:
    """Return subscriptions to one task with their cursors."""
    if not rows:
        return []
    ids = [row.wire_id for row in rows]
    found = BridgeCursor.objects.filter(task_id=rows[0].task_id, subscription__in=ids)
    cursors = {cursor.subscription: cursor for cursor in found}
    return [
        SubscriptionView(row, cursors[row.wire_id], task_id)
        for row in rows
        if row.wire_id in cursors
    ]


def _subscriptions(task_id: UUID) -> "QuerySet[BridgeSubscription]":
    return BridgeSubscription.objects.filter(task_id=task_id).select_related("bridge")


def _uuid(text: str) -> UUID:
    """Return the id of a pool, which no pool has where the text is none."""
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
