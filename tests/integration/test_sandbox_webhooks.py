"""Webhooks of a sandbox: signed with its own keys, marked, and told for each magic word."""

import json
from datetime import timedelta
from typing import Any

import orjson
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from apps.base import clock
from apps.base.ids import new_id
from apps.webhooks import services
from apps.webhooks.models import Message
from apps.webhooks.outbound_event import OutboundEvent
from biolayer.times import format_time
from tests.api.test_sandbox import HELD, NINE, OFFERED
from tests.api.webhook_steps import made
from tests.factories import House
from tests.receiver import Receiver
from tests.sandboxes import posted, run_drains, sandbox_of, sandboxed

SCENARIOS = {
    "": NINE,
    "[complete]": NINE,
    "[decline]": ["created", *OFFERED, *OFFERED, *OFFERED, *HELD],
    "[expire]": ["created", *OFFERED, *OFFERED, *HELD],
    "[fail]": [
        "created",
        *["queued", "matched", "offered", "accepted", "started"] * 3,
        "failed",
    ],
    "[breach]": [*NINE[:6], "sla_breached", *NINE[6:]],
    "[slow]": NINE,
    "[no-worker]": ["created", "queued"],
}
SECONDS = (0, 1.9, 2.5, 4, 6, 61, 123)


def own_secret(house: House) -> str:
    own = sandbox_of(house)
    secret, _ = services.keys_of([own])[own]
    return secret


@pytest.mark.parametrize("word", SCENARIOS)
def test_magic_word__is_told_by_marked_and_signed_callbacks(
    house: House, receiver: Receiver, word: str
) -> None:
    test = sandboxed(house)
    posted(
        test,
        title=f"{word} Verify it".strip(),
        sla={"target_latency_seconds": 600},
        handoff={"callback_url": f"{receiver.url}/hook"},
    )
    at = clock.now()
    for seconds in SECONDS:
        moment = at + timedelta(seconds=seconds)
        run_drains(moment)
        services.deliver_due(at=moment)
    secret = own_secret(house)
    bodies = [Webhook(secret).verify(one.body, one.headers) for one in receiver.received]
    types = [body["type"].removeprefix("task.") for body in bodies]
    assert types == SCENARIOS[word]
    assert [body["data"]["sandbox"] for body in bodies] == [True] * len(bodies)
    assert {one.headers["biolayer-sandbox"] for one in receiver.received} == {"true"}


def test_keys__of_a_sandbox_are_its_own(house: House, receiver: Receiver) -> None:
    test = sandboxed(house)
    rotated = test.post("/v1/webhook-keys/rotate", {"kind": "v1", "overlap_seconds": 0}).json()
    posted(test, handoff={"callback_url": f"{receiver.url}/hook"})
    services.deliver_due()
    (one,) = receiver.received
    Webhook(rotated["secret"]).verify(one.body, one.headers)
    live, _ = services.keys_of([house.organisation.id])[house.organisation.id]
    with pytest.raises(WebhookVerificationError):
        Webhook(live).verify(one.body, one.headers)
    ids = [
        {key["key_id"] for key in caller.get("/v1/webhook-keys").json()["data"]}
        for caller in (test, house.alice)
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("payload", ["full", "thin"])
def test_endpoint__of_each_side_gets_its_own_events(
    house: House, receiver: Receiver, payload: str
) -> None:
    test = sandboxed(house)
    made(test, url=f"{receiver.url}/test", payload=payload)
    made(house.alice, url=f"{receiver.url}/live", payload=payload)
    mine, live = posted(test), posted(house.alice)
    services.deliver_due()
    got = {one.path: one for one in receiver.received}
    assert len(receiver.received) == 2
    test_data, live_data = (json.loads(got[path].body)["data"] for path in ("/test", "/live"))
    assert (test_data["task_id"], test_data["sandbox"]) == (mine["task_id"], True)
    assert live_data["task_id"] == live["task_id"]
    assert "sandbox" not in live_data
    assert "biolayer-sandbox" in got["/test"].headers
    assert "biolayer-sandbox" not in got["/live"].headers


def test_live_body__is_as_it_was_before_there_were_sandboxes(house: House) -> None:
    at = clock.now()
    data: dict[str, Any] = {"task_id": str(new_id()), "sequence": 1, "title": "é", "output": None}
    event = OutboundEvent(
        organisation_id=house.organisation.id,
        subject_id=new_id(),
        sequence=1,
        event_type="task.created",
        occurred_at=at,
        data=data,
    )
    envelope = {"type": "task.created", "timestamp": format_time(at)}
    thin = {"task_id": data["task_id"], "sequence": 1}
    assert event.message().body == orjson.dumps({**envelope, "data": data})
    assert event.message().thin_body == orjson.dumps({**envelope, "data": thin})


def test_test_event__of_a_sandbox_is_marked(house: House, receiver: Receiver) -> None:
    test = sandboxed(house)
    endpoint = made(test, url=f"{receiver.url}/test")
    path = f"/v1/webhook-endpoints/{endpoint['endpoint_id']}/test"
    assert test.post(path, {"type": "delivery.exhausted"}).status_code == 202
    services.deliver_due()
    (one,) = receiver.received
    assert json.loads(one.body)["data"]["sandbox"] is True
    assert Message.objects.get().organisation_id == sandbox_of(house)


def test_endpoint__must_not_set_the_mark_itself(house: House) -> None:
    body = {"url": "http://127.0.0.1:9/a", "headers": {"BioLayer-Sandbox": "false"}}
    response = house.alice.post("/v1/webhook-endpoints", body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["code"] == "reserved_header"
