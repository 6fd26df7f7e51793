"""Subscribe bridges to the end of tasks, of whichever API: it changes nothing of the task.

The task is locked first. So an event that ends it commits before the subscription, which then reads
it, or finds the subscription.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection

from apps.accounts.scopes import Scope
from apps.base.transactions import Raced, atomic, retry_races
from apps.base.wake import wake
from apps.operations.caller import Caller
from apps.operations.models import BridgeDue, BridgeInstance, BridgeSubscription
from apps.operations.projection import scope_of
from apps.operations.selectors.bridges import SubscriptionView, subscription_views
from apps.operations.services.bridge_cursors import ensure_cursor
from apps.operations.services.locks import lock_any_task
from apps.operations.services.notifying import finish_delivery, mark_due
from apps.tasks.models import Task
from biolayer.errors import Fault, InvalidInput, NotFound, TaskPurged


@dataclass(frozen=True, slots=True)
class SubscriptionFields:
    """Hold what a subscriber says: trimmed, and valid each for itself."""

    bridge_instance_id: str
    scope: str
    delivery_mode: str
    id: str = ""
    workspace_id: str = ""
    peer_id: str = ""
    group_id: str = ""
    thread_id: str = ""


def subscribe_bridge(
    *, caller: Caller, task_id: str, fields: SubscriptionFields, at: datetime
) -> SubscriptionView:
    """Have a bridge notified of the end of a task. One with the same id is changed.

    Its cursor begins at 0, so that a task that is finished is told of, too; or where an earlier
    subscription of the same id has left it. Raise `InvalidInput`, `NotFound` (the task, the bridge
    instance), `RoleTooLow`, `ScopeMissing`, `TaskPurged`.
    """
    caller.principal.require(Scope.TASKS_CREATE)
    return retry_races(lambda: _subscribe(caller, task_id, fields, at))


def _subscribe(
    caller: Caller, task_id: str, fields: SubscriptionFields, at: datetime
) -> SubscriptionView:
    try:
        return _write(caller, task_id, fields, at)
    except IntegrityError as error:
        if "bridge_subscription_id_is_unique" in str(error):
            raise Raced("Another call has just made a subscription of this id.") from error
        raise


@atomic()
def _write(
    caller: Caller, task_id: str, fields: SubscriptionFields, at: datetime
) -> SubscriptionView:
    task = lock_any_task(caller, task_id)
    if task.purged_at is not None:
        raise TaskPurged
    bridge = _locked_bridge(caller, fields.bridge_instance_id)
    wire_id = fields.id or f"bts-{secrets.token_hex(8)}"
    known = BridgeSubscription.objects.select_for_update(no_key=True).filter(
        organisation_id=task.organisation_id, wire_id=wire_id
    )
    row = known.first()
    faults = list(_faults(task, bridge, row, fields))
    if faults:
        raise InvalidInput(faults)
    row = _new(caller, task, wire_id, at) if row is None else row
    # It is sent again by what the subscription says now.
    finish_delivery(row, at=at)
    row.bridge = bridge
    row.delivery_mode = fields.delivery_mode
    row.peer_id, row.group_id, row.thread_id = fields.peer_id, fields.group_id, fields.thread_id
    row.updated_at = at
    row.save()
    ensure_cursor(task, wire_id)
    mark_due(row, at)
    wake("bridges")
    return subscription_views(task_id, [row])[0]


def _new(caller: Caller, task: Task, wire_id: str, at: datetime) -> BridgeSubscription:
    return BridgeSubscription(
        organisation_id=task.organisation_id,
        task=task,
        wire_id=wire_id,
        creator_kind=caller.kind,
        creator_ref=caller.ref,
        created_at=at,
    )


LOCK_BRIDGE = """
SELECT id FROM operations_bridgeinstance
WHERE organisation_id = %(organisation_id)s AND wire_id = %(wire_id)s
    AND (%(pool_ids)s::uuid[] IS NULL OR pool_id = ANY (%(pool_ids)s::uuid[]))
FOR KEY SHARE
"""


def _locked_bridge(caller: Caller, wire_id: str) -> BridgeInstance:
    """Return a bridge instance that the caller sees, and that is not deleted meanwhile.

    Raise `NotFound`.
    """
    actor = caller.principal
    params: dict[str, Any] = {
        "organisation_id": actor.organisation_id,
        "wire_id": wire_id,
        "pool_ids": None if actor.pool_ids is None else list(actor.pool_ids),
    }
    with connection.cursor() as cursor:
        cursor.execute(LOCK_BRIDGE, params)
        found = cursor.fetchone()
    if found is None:
        raise NotFound("bridge instance")
    return BridgeInstance.objects.get(id=found[0])


def _faults(
    task: Task, bridge: BridgeInstance, known: BridgeSubscription | None, fields: SubscriptionFields
) -> Iterator[Fault]:
    if known is not None and known.task_id != task.id:
        yield Fault("/subscription_id", "taken", "is that of a subscription to another task")
    if fields.scope != scope_of(task):
        yield Fault("/scope", "invalid", f"must be the task's, {scope_of(task)}")
    if _pool_id(fields.workspace_id) != task.pool_id:
        yield Fault("/workspace_id", "invalid", "must be the task's workspace")
    if bridge.pool_id != task.pool_id:
        detail = "must be a bridge instance of the task's scope and workspace"
        yield Fault("/bridge_instance_id", "invalid", detail)


def _pool_id(text: str) -> UUID | None:
    """Return the pool that a text names, none for an empty one, and one that does not exist."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return UUID(int=0)


@atomic()
def unsubscribe_bridge(*, caller: Caller, task_id: str, subscription_id: str, at: datetime) -> None:
    """Delete a subscription to a task; what is under way is not delivered any more.

    Its cursor stays. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    caller.principal.require(Scope.TASKS_CREATE)
    task = lock_any_task(caller, task_id)
    if "\x00" in subscription_id or not end_subscriptions(task, at=at, wire_id=subscription_id):
        raise NotFound("subscription")


def end_subscriptions(task: Task, *, at: datetime, wire_id: str | None = None) -> int:
    """Delete the subscriptions to a locked task, or one of them. Return how many there were."""
    own = BridgeSubscription.objects.filter(task_id=task.id).order_by("id")
    chosen = own if wire_id is None else own.filter(wire_id=wire_id)
    rows = list(chosen.select_for_update())
    for row in rows:
        finish_delivery(row, at=at)
    ids = [row.id for row in rows]
    BridgeDue.objects.filter(subscription_id__in=ids).delete()
    BridgeSubscription.objects.filter(id__in=ids).delete()
    return len(rows)
