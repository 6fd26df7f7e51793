"""Test that test events are real deliveries of invented events."""

import json
from typing import Any

import pytest
from standardwebhooks import Webhook

from apps.webhooks import services
from apps.webhooks.models import Attempt
from biolayer.events import EVENT_TYPES
from biolayer.responses.webhooks import Delivery
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.webhook_steps import made, path_of
from tests.factories import Caller, House
from tests.receiver import Receiver, Reply


def send_test(caller: Caller, endpoint: dict[str, Any], event_type: str) -> dict[str, Any]:
    answer = caller.post(f"{path_of(endpoint)}/test", {"type": event_type})
    assert answer.status_code == 202, answer.content
    Delivery.model_validate_json(answer.content, extra="forbid")
    document: dict[str, Any] = answer.json()
    assert answer["Location"] == f"/v1/deliveries/{document['delivery_id']}"
    return document


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_test_event__is_a_real_delivery(house: House, receiver: Receiver, event_type: str) -> None:
    endpoint = made(house.alice, url=receiver.url, event_types=["task.failed"], domains=["x"])
    document = send_test(house.alice, endpoint, event_type)
    assert (document["is_test"], document["task_id"], document["type"]) == (True, None, event_type)
    assert services.deliver_due() == 1
    (request,) = receiver.received
    ours = house.organisation.id
    secret = services.keys_of([ours])[ours][0]
    body = Webhook(secret).verify(request.body, request.headers)
    assert request.headers["webhook-id"] == document["message_id"]
    read = house.alice.get(f"/v1/deliveries/{document['delivery_id']}").json()
    assert (read["status"], read["body"]) == ("succeeded", body)
    assert body["type"] == event_type


def test_test_event__in_the_thin_form(house: House, receiver: Receiver) -> None:
    endpoint = made(house.alice, url=receiver.url, payload="thin")
    names = {}
    for event_type in ("task.created", "endpoint.failing", "delivery.recovered"):
        send_test(house.alice, endpoint, event_type)
        services.deliver_due()
        names[event_type] = set(json.loads(receiver.received[-1].body)["data"])
    assert names == {
        "task.created": {"task_id", "sequence"},
        "endpoint.failing": {"endpoint_id"},
        "delivery.recovered": {"delivery_id"},
    }


def test_test_event__is_checked_like_any_other(
    house: House, receiver: Receiver, settings: Any
) -> None:
    endpoint = made(house.alice, url=receiver.url)
    settings.ALLOW_LOOPBACK_CALLBACKS = False
    send_test(house.alice, endpoint, "task.completed")
    services.deliver_due()
    assert receiver.received == []
    assert Attempt.objects.get().outcome == "address_denied"


def test_test_event__refused_when_the_endpoint_is_not_enabled(house: House) -> None:
    endpoint = made(house.alice, enabled=False)
    path = f"{path_of(endpoint)}/test"
    with expect_unchanged():
        answer = house.alice.post(path, {"type": "task.completed"})
        body = expect_problem(answer, 409, "endpoint_not_enabled")
    assert body["endpoint_status"] == "paused"


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ({}, {"/type": "required"}),
        ({"type": "task.*"}, {"/type": "not_one_of"}),
        ({"type": "task.drafted"}, {"/type": "not_one_of"}),
        ({"type": 1}, {"/type": "wrong_type"}),
        ({"type": "task.failed", "data": {}}, {"/data": "unknown_field"}),
    ],
)
def test_test_event__refused_without_a_known_type(
    house: House, body: dict[str, Any], codes: dict[str, str]
) -> None:
    endpoint = made(house.alice)
    with expect_unchanged():
        assert faults(house.alice.post(f"{path_of(endpoint)}/test", body)) == codes


def test_test_event__sent_twice_with_one_key_is_one(house: House, receiver: Receiver) -> None:
    endpoint = made(house.alice, url=receiver.url)
    path, body = f"{path_of(endpoint)}/test", {"type": "task.failed"}
    first = house.alice.post(path, body, **{"Idempotency-Key": "k"})
    again = house.alice.post(path, body, **{"Idempotency-Key": "k"})
    assert (again.status_code, again.json()) == (202, first.json())
    receiver.reply = lambda _: Reply(200)
    assert services.deliver_due() == 1
