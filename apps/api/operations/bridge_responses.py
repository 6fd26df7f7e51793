"""Define subscriptions of bridges as this API returns them."""

from apps.api.operations.bridge_requests import DeliveryMode
from apps.api.operations.responses import RunActor, Shape
from apps.operations.projection import Scope
from apps.operations.selectors import STREAM, SubscriptionView
from biolayer.values import Timestamp


class BridgeCursor(Shape):
    consumer_id: str
    stream_name: str
    subject_id: str
    last_sequence: int
    last_delivered_at: Timestamp | None = None
    last_delivery_id: str = ""
    last_error: str = ""
    updated_at: Timestamp | None = None


class BridgeSubscription(Shape):
    subscription_id: str
    task_id: str
    bridge_instance_id: str
    scope: Scope
    delivery_mode: DeliveryMode
    cursor: BridgeCursor
    created_by: RunActor
    created_at: Timestamp
    updated_at: Timestamp
    workspace_id: str = ""
    peer_id: str = ""
    group_id: str = ""
    thread_id: str = ""


class BridgeSubscriptionAnswer(Shape):
    subscription: BridgeSubscription


class BridgeSubscriptionList(Shape):
    subscriptions: list[BridgeSubscription]


def shown(view: SubscriptionView) -> BridgeSubscription:
    """Return a subscription with its cursor."""
    row, cursor, bridge = view.row, view.cursor, view.row.bridge
    return BridgeSubscription(
        subscription_id=row.wire_id,
        task_id=view.task_id,
        bridge_instance_id=bridge.wire_id,
        scope="global" if bridge.pool_id is None else "workspace",
        workspace_id="" if bridge.pool_id is None else str(bridge.pool_id),
        delivery_mode=row.delivery_mode,
        peer_id=row.peer_id,
        group_id=row.group_id,
        thread_id=row.thread_id,
        created_by=RunActor(kind=row.creator_kind, ref=row.creator_ref),
        created_at=row.created_at,
        updated_at=row.updated_at,
        cursor=BridgeCursor(
            consumer_id=view.consumer_id,
            stream_name=STREAM,
            subject_id=view.task_id,
            last_sequence=cursor.last_sequence,
            last_delivered_at=cursor.last_delivered_at,
            last_delivery_id=cursor.last_delivery_id,
            last_error=cursor.last_error,
            updated_at=cursor.updated_at,
        ),
    )
