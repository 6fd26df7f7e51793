"""What tests of bridges share: instances, subscriptions, and the drains that notify them."""

import json
from datetime import datetime
from typing import Any

from apps.base import clock
from apps.operations import services as operations
from apps.webhooks import services as webhooks
from tests.api.operator_expect import expect
from tests.factories import House
from tests.operator_steps import Desk
from tests.receiver import Receiver

INSTANCES = "/v1/bridge-instances"
URL = "http://127.0.0.1:9/notify"


def bridge(desk: Desk, url: str = URL, **fields: Any) -> dict[str, Any]:
    """Return a new bridge instance, global unless the fields say otherwise."""
    body = {"name": "Support chat", "scope": "global", "url": url, **fields}
    response = desk.caller.post(INSTANCES, body)
    assert response.status_code == 201, response.content
    made: dict[str, Any] = response.json()
    return made


def change(desk: Desk, instance: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = desk.caller.patch(f"{INSTANCES}/{instance['bridge_instance_id']}", fields)
    assert response.status_code == 200, response.content
    changed: dict[str, Any] = response.json()
    return changed


def of_workspace(house: House) -> dict[str, str]:
    """Return the fields of a bridge, or of a subscription, of the house's pool."""
    return {"scope": "workspace", "workspace_id": str(house.pool.id)}


def path(task_id: str, subscription_id: str = "") -> str:
    return f"/tasks/{task_id}/notifications/bridges" + f"/{subscription_id}" * bool(subscription_id)


def subscribed(desk: Desk, task_id: str, instance: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a subscription of a bridge to a task, which is global unless the fields say other."""
    body = {
        "bridge_instance_id": instance["bridge_instance_id"],
        "scope": "global",
        "delivery_mode": "direct-send",
        "peer_id": "drafter.s-17",
        **fields,
    }
    response = desk.post(path(task_id), **body)
    made = expect("createTaskBridgeNotificationSubscription", response, 201)["subscription"]
    assert isinstance(made, dict)
    return made


def read(desk: Desk, task_id: str, subscription_id: str) -> dict[str, Any]:
    response = desk.get(path(task_id, subscription_id))
    found = expect("getTaskBridgeNotificationSubscription", response)["subscription"]
    assert isinstance(found, dict)
    return found


def cursor(desk: Desk, task_id: str, subscription_id: str) -> dict[str, Any]:
    found = read(desk, task_id, subscription_id)["cursor"]
    assert isinstance(found, dict)
    return found


def drain(at: datetime | None = None) -> None:
    """Take all steps that are due, and make all attempts that are."""
    moment = at or clock.now()
    while operations.notify_due(at=moment) or webhooks.deliver_due(at=moment):
        moment = max(moment, clock.now())


def notified(receiver: Receiver) -> list[dict[str, Any]]:
    """Return the data of the notifications that were received, in their order."""
    bodies = [json.loads(request.body) for request in receiver.received]
    assert {body["type"] for body in bodies} <= {"task.notification"}
    return [body["data"] for body in bodies]


def completed(desk: Desk, task_id: str, session_id: str = "s-1", **more: Any) -> str:
    """Complete a task by a session, and return its run."""
    run_id: str = desk.started(task_id)["id"]
    agent = desk.agent(session_id=session_id, **more)
    assert agent.claimed()["run"]["id"] == run_id
    done = agent.on(run_id, "complete", result={"text": "Done."})
    assert done.status_code == 200, done.content
    return run_id


def sequence_of(desk: Desk, task_id: str, kind: str) -> int:
    """Return the number of the last event of a type in a task's timeline."""
    timeline = desk.get(f"/tasks/{task_id}/timeline").json()["timeline"]
    numbers: list[int] = [item["sequence"] for item in timeline if item["event_type"] == kind]
    return numbers[-1]
