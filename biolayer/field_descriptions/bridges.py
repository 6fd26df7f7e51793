"""Describe the fields of bridge instances, and of subscriptions to tasks."""

from biolayer.field_descriptions.entries import Table
from biolayer.field_descriptions.examples import FROM_PARTS, POOL, TIME, UUID

INSTANCES = ["BridgeInstance", "BridgeInstanceCreation", "BridgeInstanceChange"]
BRIDGE = "brg-9c41d2e07b5f3a68"

INSTANCE: Table = {
    "bridge_instance_id": ("The ID; made if it is left out.", BRIDGE),
    "name": ("What people call it.", "Support chat"),
    "scope": ("`global`, or of one `workspace`.", "workspace"),
    "workspace_id": ("The pool that is the workspace; null: it is global.", POOL),
    "url": ("Where its notifications are sent.", "https://bridge.example/notify"),
    "origin": ("The scheme, host and port of the URL.", "https://bridge.example"),
    "enabled": ("Whether notifications are sent; else they wait.", True),
    "muted": ("Whether notifications pass unsent.", False),
    "status": ("`enabled`, `paused` by you, or `disabled` by the service.", "enabled"),
    "disabled_reason": ("`gone`: it answered 410; null: the service did not disable it.", "gone"),
    "endpoint_id": ("What `/v1/deliveries` calls it.", UUID),
}

SUBSCRIPTIONS: Table = {
    "BridgeSubscriptionBody.subscription_id": (
        "The ID; made if it is left out. The same again changes the subscription.",
        "bts-51f0c9be3d247867",
    ),
    "subscription_id": ("The ID of the subscription.", "bts-51f0c9be3d247867"),
    "subscription": ("The subscription.", FROM_PARTS),
    "subscriptions": ("The subscriptions, the last updated first.", FROM_PARTS),
    "delivery_mode": (
        "`direct-send`: a new message to the target; `reply`: an answer in its conversation.",
        "direct-send",
    ),
    "peer_id": ("The person or agent to tell; this or group_id.", "drafter.s-17"),
    "group_id": ("The group to tell; this or peer_id.", "ops-room"),
    "thread_id": ("The thread of that conversation.", "1770232860.1"),
    "BridgeSubscription.cursor": ("How far the bridge has been notified.", FROM_PARTS),
    "BridgeCursor.consumer_id": (
        "Who reads the events.",
        "bridge_task_subscription:bts-51f0c9be3d247867",
    ),
    "BridgeCursor.stream_name": ("What it reads.", "task_events"),
    "BridgeCursor.subject_id": ("The task.", "task-5f1c0a9be3d24786"),
    "BridgeCursor.last_sequence": ("The last event that is done with; 0: none.", 4711),
    "BridgeCursor.last_delivery_id": (
        "The last notification that arrived.",
        "notif:bts-51f0c9be3d247867:4711",
    ),
    "BridgeCursor.last_delivered_at": ("When it arrived.", TIME),
    "BridgeCursor.last_error": (
        "Why nothing is delivered, or an event was passed over.",
        "The bridge answered HTTP 500.",
    ),
    "BridgeCursor.updated_at": ("When the cursor was last written.", TIME),
}
OF_SUBSCRIPTIONS = {
    "bridge_instance_id": ("The bridge instance.", BRIDGE),
    "scope": ("The scope of task and bridge.", "workspace"),
    "workspace_id": ("The workspace of task and bridge.", POOL),
    "task_id": ("The task.", "task-5f1c0a9be3d24786"),
    "created_by": ("Who subscribed it.", FROM_PARTS),
    "created_at": ("When it was created.", TIME),
    "updated_at": ("When it was last changed by a call.", TIME),
}

TABLE: Table = {
    **{f"{model}.{name}": entry for model in INSTANCES for name, entry in INSTANCE.items()},
    **{
        f"{model}.{name}": entry
        for model in ("BridgeSubscription", "BridgeSubscriptionBody")
        for name, entry in OF_SUBSCRIPTIONS.items()
    },
    **SUBSCRIPTIONS,
}
