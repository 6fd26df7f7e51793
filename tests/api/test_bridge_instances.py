"""Bridge instances by HTTP: created, read, changed, deleted; which credentials see them."""

from typing import Any

import pytest

from apps.accounts.audit import AuditAction
from apps.accounts.models import AuditEvent
from apps.operations.models import BridgeInstance
from apps.webhooks.models import Destination
from biolayer.responses.bridges import BridgeInstance as Shown
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.webhook_steps import restricted
from tests.bridge_steps import INSTANCES, URL, bridge, change, of_workspace
from tests.factories import NO_ID, House
from tests.operator_steps import Desk, desk_of


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


def place(instance: dict[str, Any]) -> str:
    return f"{INSTANCES}/{instance['bridge_instance_id']}"


def test_create__with_what_is_required(house: House, desk: Desk) -> None:
    answer = desk.caller.post(INSTANCES, {"name": "Chat", "scope": "global", "url": URL})
    document = answer.json()
    Shown.model_validate_json(answer.content, extra="forbid")
    assert answer["Location"] == place(document)
    assert document.pop("bridge_instance_id").startswith("brg-")
    created_at = document.pop("created_at")
    assert document == {
        "name": "Chat",
        "scope": "global",
        "workspace_id": None,
        "url": URL,
        "origin": "http://127.0.0.1:9",
        "headers": {},
        "auth": {"type": "none"},
        "timeout_seconds": 10,
        "enabled": True,
        "muted": False,
        "status": "enabled",
        "disabled_reason": None,
        "endpoint_id": str(Destination.objects.get().id),
        "updated_at": created_at,
    }


def test_secrets__are_never_shown(house: House, desk: Desk) -> None:
    auth = {"type": "bearer", "token": "s3cret-token"}
    made = bridge(desk, auth=auth, headers={"X-Tenant": "north-wind"})
    for answer in (desk.caller.get(place(made)), desk.caller.get(INSTANCES)):
        assert b"s3cret" not in answer.content
        assert b"north-wind" not in answer.content
    assert made["headers"] == {"X-Tenant": "redacted"}
    assert made["auth"] == {"type": "bearer", "token": "redacted"}
    assert b"s3cret" not in bytes(Destination.objects.get().sealed)


def test_create__with_an_id_that_is_taken(house: House, desk: Desk) -> None:
    bridge(desk, bridge_instance_id="chat-1")
    body = {"name": "Chat", "scope": "global", "url": URL, "bridge_instance_id": "chat-1"}
    with expect_unchanged():
        expect_problem(desk.caller.post(INSTANCES, body), 409, "bridge_instance_id_taken")


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"url": "ftp://example.com"}, "/url"),
        ({"url": "http://10.0.0.1/x"}, "/url"),
        ({"name": " "}, "/name"),
        ({"scope": "team"}, "/scope"),
        ({"scope": "workspace"}, "/workspace_id"),
        ({"workspace_id": NO_ID}, "/workspace_id"),
        ({"scope": "workspace", "workspace_id": NO_ID}, "/workspace_id"),
        ({"bridge_instance_id": "a/b"}, "/bridge_instance_id"),
        ({"bridge_instance_id": ""}, "/bridge_instance_id"),
        ({"headers": {"Webhook-Id": "x"}}, "/headers/Webhook-Id"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_create__refuses_what_is_invalid(
    house: House, desk: Desk, changed: dict[str, Any], pointer: str
) -> None:
    with expect_unchanged():
        body = {"name": "Chat", "scope": "global", "url": URL, **changed}
        answer = desk.caller.post(INSTANCES, body)
        assert pointer in faults(answer), answer.content


def test_list__newest_first_by_pages(house: House, desk: Desk) -> None:
    made = [bridge(desk)["bridge_instance_id"] for _ in range(3)]
    first = desk.caller.get(f"{INSTANCES}?limit=2").json()
    rest = desk.caller.get(f"{INSTANCES}?limit=2&cursor={first['next_cursor']}").json()
    ids = [one["bridge_instance_id"] for one in [*first["data"], *rest["data"]]]
    assert ids == made[::-1]
    assert rest["next_cursor"] is None
    assert desk.caller.get("/v1/webhook-endpoints").json()["data"] == []


def test_change(house: House, desk: Desk) -> None:
    made = bridge(desk, auth={"type": "bearer", "token": "s3cret-token"})
    now = change(desk, made, name="Room", url="http://127.0.0.1:8/x", muted=True, enabled=False)
    assert (now["name"], now["url"], now["muted"]) == ("Room", "http://127.0.0.1:8/x", True)
    assert (now["status"], now["enabled"]) == ("paused", False)
    assert now["origin"] == "http://127.0.0.1:8"
    assert now["auth"]["type"] == "bearer"
    assert now["updated_at"] > made["updated_at"]
    again = change(desk, made, enabled=True, muted=False)
    assert (again["status"], again["muted"], again["name"]) == ("enabled", False, "Room")


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [({"url": "ftp://x"}, "/url"), ({"scope": "global"}, "/scope"), ({"muted": 1}, "/muted")],
)
def test_change__refuses_what_is_invalid(
    house: House, desk: Desk, changed: dict[str, Any], pointer: str
) -> None:
    made = bridge(desk)
    with expect_unchanged():
        answer = desk.caller.patch(place(made), changed)
        assert pointer in faults(answer)


def test_delete(house: House, desk: Desk) -> None:
    made = bridge(desk)
    assert desk.caller.delete(place(made)).status_code == 204
    expect_problem(desk.caller.get(place(made)), 404, "not_found")
    expect_problem(desk.caller.delete(place(made)), 404, "not_found")
    assert BridgeInstance.objects.count() == Destination.objects.count() == 0
    bridge(desk, bridge_instance_id=made["bridge_instance_id"])


def test_credential_for_some_pools__sees_the_bridges_of_these(house: House, desk: Desk) -> None:
    everywhere, own = bridge(desk), bridge(desk, **of_workspace(house))
    lesser = restricted(house, house.pool.id)
    found = lesser.get(INSTANCES).json()["data"]
    assert [one["bridge_instance_id"] for one in found] == [own["bridge_instance_id"]]
    for answer in (lesser.get(place(everywhere)), lesser.patch(place(everywhere), {"muted": True})):
        expect_problem(answer, 404, "not_found")
    body = {"name": "Chat", "scope": "global", "url": URL}
    with expect_unchanged():
        assert [*faults(lesser.post(INSTANCES, body))] == ["/scope"]
    assert lesser.post(INSTANCES, {**body, **of_workspace(house)}).status_code == 201


def test_changes__are_audited(house: House, desk: Desk) -> None:
    made = bridge(desk)
    change(desk, made, muted=True)
    desk.caller.delete(place(made))
    actions = AuditEvent.objects.filter(action__startswith="bridge").order_by("id")
    assert list(actions.values_list("action", flat=True)) == [
        AuditAction.BRIDGE_CREATED,
        AuditAction.BRIDGE_CHANGED,
        AuditAction.BRIDGE_DELETED,
    ]
