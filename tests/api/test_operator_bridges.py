"""Subscriptions of bridges: section 18 of the reference. tests/integration/test_bridges.py has
what they are told."""

from typing import Any

import pytest

from apps.accounts.scopes import Role, Scope
from apps.base import clock
from apps.operations import services
from apps.operations.models import BridgeCursor, BridgeSubscription
from apps.pools.services import provision_pool
from tests.api.expect import expect_unchanged
from tests.api.operator_expect import expect, refused, strangers_desk
from tests.bridge_steps import bridge, of_workspace, path, read, subscribed
from tests.factories import NO_ID, House
from tests.operator_steps import Desk, desk_of

CREATE = "createTaskBridgeNotificationSubscription"
LIST = "listTaskBridgeNotificationSubscriptions"


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


def body(instance: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "bridge_instance_id": instance["bridge_instance_id"],
        "scope": "global",
        "delivery_mode": "direct-send",
        "peer_id": "drafter.s-17",
        **fields,
    }


# --- create ---------------------------------------------------------------------------------------


def test_create(house: House, desk: Desk) -> None:
    task, instance = desk.task(), bridge(desk, bridge_instance_id="chat-1")
    made = subscribed(desk, task["id"], instance, thread_id="17", delivery_mode=" REPLY ")
    created_at = made.pop("created_at")
    number = made.pop("subscription_id")
    assert number.startswith("bts-")
    assert len(number) == 20
    assert made == {
        "task_id": task["id"],
        "bridge_instance_id": "chat-1",
        "scope": "global",
        "delivery_mode": "reply",
        "peer_id": "drafter.s-17",
        "thread_id": "17",
        "created_by": {"kind": "human", "ref": desk.caller.principal.text},
        "updated_at": created_at,
        "cursor": {
            "consumer_id": f"bridge_task_subscription:{number}",
            "stream_name": "task_events",
            "subject_id": task["id"],
            "last_sequence": 0,
        },
    }


def test_create__in_a_workspace_by_a_session(house: House, desk: Desk) -> None:
    task = desk.task(scope="workspace", workspace=house.pool.name)
    instance = bridge(desk, **of_workspace(house))
    desk.agent(house)
    identity = {"X-AGH-Session-ID": "s-1", "X-AGH-Agent": "drafter"}
    wanted = body(instance, group_id="ops", peer_id="", **of_workspace(house))
    answer = desk.caller.post(f"/api{path(task['id'])}", wanted, **identity)
    made = expect(CREATE, answer, 201)["subscription"]
    assert made["workspace_id"] == str(house.pool.id)
    assert made["created_by"] == {"kind": "agent_session", "ref": "s-1"}
    assert (made["group_id"], "peer_id" in made) == ("ops", False)


def test_create__with_the_same_id_changes_it(house: House, desk: Desk) -> None:
    task, instance = desk.task(), bridge(desk)
    first = subscribed(desk, task["id"], instance, subscription_id="mine", thread_id="1")
    second = subscribed(desk, task["id"], instance, subscription_id="mine", group_id="ops")
    assert BridgeSubscription.objects.count() == 1
    assert second["group_id"] == "ops"
    assert "thread_id" not in second
    assert second["created_at"] == first["created_at"]
    assert second["updated_at"] > first["updated_at"]


def test_create__for_a_task_of_v1(house: House, desk: Desk) -> None:
    task = house.task(requirements={"worker_pool_id": str(house.pool.id)})
    instance = bridge(desk, **of_workspace(house))
    made = subscribed(desk, str(task.id), instance, **of_workspace(house))
    assert (made["task_id"], made["scope"]) == (str(task.id), "workspace")


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"peer_id": " "}, "peer_id or group_id"),
        ({"peer_id": "", "thread_id": "1"}, "peer_id or group_id"),
        ({"scope": "workspace"}, "scope"),
        ({"scope": "everywhere"}, "scope"),
        ({"scope": None}, "scope"),
        ({"delivery_mode": "email"}, "delivery_mode"),
        ({"delivery_mode": None}, "delivery_mode"),
        ({"bridge_instance_id": ""}, "bridge_instance_id"),
        ({"bridge_instance_id": None}, "bridge_instance_id"),
        ({"bridge_instance_id": "a\x00"}, "bridge_instance_id"),
        ({"workspace_id": NO_ID}, "workspace_id"),
        ({"workspace_id": "Front desk"}, "workspace_id"),
        ({"subscription_id": "a/b"}, "subscription_id"),
        ({"subscription_id": "x" * 201}, "subscription_id"),
        ({"peer_id": "x" * 256}, "peer_id"),
        ({"peer_id": 7}, "peer_id"),
    ],
)
def test_create__refuses_what_is_invalid(
    house: House, desk: Desk, changed: dict[str, Any], word: str
) -> None:
    task, instance = desk.task(), bridge(desk)
    with expect_unchanged():
        refused(desk.post(path(task["id"]), **body(instance, **changed)), 400, word)


def test_create__refuses_a_body_that_is_none(house: House, desk: Desk) -> None:
    place = f"/api{path(desk.task()['id'])}"
    refused(desk.caller.post(place, []), 400)
    broken = desk.caller.client.generic(
        "POST",
        place,
        b"{",
        content_type="application/json",
        headers={"Authorization": f"Bearer {desk.caller.key}"},
    )
    refused(broken, 400)


def test_create__refuses_a_bridge_of_another_scope_or_workspace(house: House, desk: Desk) -> None:
    of_pool = bridge(desk, **of_workspace(house))
    anywhere = bridge(desk)
    in_pool = desk.task(scope="workspace", workspace=house.pool.name)
    refused(desk.post(path(desk.task()["id"]), **body(of_pool)), 400, "bridge_instance_id")
    wanted = body(anywhere, **of_workspace(house))
    refused(desk.post(path(in_pool["id"]), **wanted), 400, "bridge_instance_id")
    without = body(of_pool, scope="workspace")
    refused(desk.post(path(in_pool["id"]), **without), 400, "workspace_id")
    assert BridgeSubscription.objects.count() == 0


def test_create__refuses_the_id_of_another_tasks_subscription(house: House, desk: Desk) -> None:
    instance, one, other = bridge(desk), desk.task(), desk.task()
    subscribed(desk, one["id"], instance, subscription_id="mine")
    wanted = body(instance, subscription_id="mine")
    with expect_unchanged():
        refused(desk.post(path(other["id"]), **wanted), 400, "subscription_id")
    # A deleted one leaves its id to others; its cursor is its task's.
    assert desk.delete(path(one["id"], "mine")).status_code == 204
    subscribed(desk, other["id"], instance, subscription_id="mine")
    assert BridgeCursor.objects.filter(subscription="mine").count() == 2


def test_create__404(house: House, desk: Desk) -> None:
    instance, task = bridge(desk), desk.task()
    refused(desk.post(path(NO_ID), **body(instance)), 404, "task")
    unknown = body(instance, bridge_instance_id="brg-0")
    refused(desk.post(path(task["id"]), **unknown), 404, "bridge instance")
    stranger = strangers_desk(house)
    refused(stranger.post(path(task["id"]), **body(instance)), 404, "task")
    theirs = stranger.task()
    refused(stranger.post(path(theirs["id"]), **body(instance)), 404, "bridge instance")


def test_create__a_bridge_that_the_caller_does_not_see_is_404(house: House, desk: Desk) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    elsewhere = bridge(desk, scope="workspace", workspace_id=str(other.id))
    anywhere, seen = bridge(desk), bridge(desk, **of_workspace(house))
    task = desk.task(scope="workspace", workspace=house.pool.name)
    limited = desk_of(house, pool_ids=[house.pool.id])
    with expect_unchanged():
        for instance in (elsewhere, anywhere):
            wanted = body(instance, **of_workspace(house))
            refused(limited.post(path(task["id"]), **wanted), 404, "bridge instance")
            refused(desk.post(path(task["id"]), **wanted), 400, "bridge_instance_id")
    assert subscribed(limited, task["id"], seen, **of_workspace(house))


def test_create__needs_its_scope(house: House, desk: Desk) -> None:
    instance, task = bridge(desk), desk.task()
    reader = desk_of(house, scopes=[Scope.TASKS_READ], role=Role.VIEWER)
    with expect_unchanged():
        refused(reader.post(path(task["id"]), **body(instance)), 403)
        refused(reader.delete(path(task["id"], "mine")), 403)


# --- list -----------------------------------------------------------------------------------------


def listed(desk: Desk, task_id: str, **query: Any) -> list[str]:
    found = expect(LIST, desk.get(path(task_id), **query))["subscriptions"]
    return [one["subscription_id"] for one in found]


def test_list__the_last_updated_first_then_by_id(house: House, desk: Desk) -> None:
    instance, task = bridge(desk), desk.task()
    assert listed(desk, task["id"]) == []
    for name in ("b", "a", "c"):
        subscribed(desk, task["id"], instance, subscription_id=name)
    subscribed(desk, task["id"], instance, subscription_id="b")
    subscribed(desk, desk.task()["id"], instance)
    assert listed(desk, task["id"]) == ["b", "c", "a"]
    assert listed(desk, task["id"], limit=2) == ["b", "c"]
    assert listed(desk, task["id"], limit=0) == ["b", "c", "a"]
    BridgeSubscription.objects.update(updated_at=clock.now())
    assert listed(desk, task["id"]) == ["a", "b", "c"]


def test_list__by_bridge_scope_and_workspace(house: House, desk: Desk) -> None:
    task = desk.task(scope="workspace", workspace=house.pool.name)
    one, other = bridge(desk, **of_workspace(house)), bridge(desk, **of_workspace(house))
    subscribed(desk, task["id"], one, subscription_id="a", **of_workspace(house))
    subscribed(desk, task["id"], other, subscription_id="b", **of_workspace(house))
    assert listed(desk, task["id"], bridge_instance_id=one["bridge_instance_id"]) == ["a"]
    assert listed(desk, task["id"], scope="Workspace") == ["b", "a"]
    assert listed(desk, task["id"], scope="global") == []
    assert listed(desk, task["id"], workspace_id=str(house.pool.id)) == ["b", "a"]
    assert listed(desk, task["id"], workspace_id="elsewhere") == []


@pytest.mark.parametrize("query", [{"limit": -1}, {"limit": "x"}, {"scope": "x"}])
def test_list__refuses_what_is_invalid(house: House, desk: Desk, query: dict[str, Any]) -> None:
    refused(desk.get(path(desk.task()["id"]), **query), 400, next(iter(query)))


def test_list__404(house: House, desk: Desk) -> None:
    refused(desk.get(path(NO_ID)), 404)
    refused(strangers_desk(house).get(path(desk.task()["id"])), 404)


# --- get and delete -------------------------------------------------------------------------------


def test_get(house: House, desk: Desk) -> None:
    task = desk.task()
    made = subscribed(desk, task["id"], bridge(desk))
    assert read(desk, task["id"], made["subscription_id"]) == made


def test_get_and_delete__under_another_task_are_404(house: House, desk: Desk) -> None:
    task, other, stranger = desk.task(), desk.task(), strangers_desk(house)
    subscribed(desk, task["id"], bridge(desk), subscription_id="mine")
    with expect_unchanged():
        for place in (path(other["id"], "mine"), path(task["id"], "no"), path(NO_ID, "mine")):
            refused(desk.get(place), 404)
            refused(desk.delete(place), 404)
        refused(desk.delete(path(task["id"], "a%00b")), 404)
        refused(stranger.delete(path(task["id"], "mine")), 404)


def test_delete(house: House, desk: Desk) -> None:
    task = desk.task()
    subscribed(desk, task["id"], bridge(desk), subscription_id="mine")
    answer = desk.delete(path(task["id"], "mine"))
    assert (answer.status_code, answer.content) == (204, b"")
    refused(desk.delete(path(task["id"], "mine")), 404)
    refused(desk.get(path(task["id"], "mine")), 404)
    assert BridgeCursor.objects.count() == 1


def test_subscriptions__of_a_purged_task_are_refused(house: House, desk: Desk) -> None:
    from apps.tasks.models import Task

    task, instance = desk.task(), bridge(desk)
    Task.objects.update(purged_at=clock.now())
    assert desk.post(path(task["id"]), **body(instance)).status_code in (404, 409, 410)
    assert services.notify_due() == 0
