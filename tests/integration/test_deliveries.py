"""Test deliveries: signed, recorded, retried by their rows, never lost or recorded twice."""

import json
import socket
import time
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from apps.base import clock
from apps.tasks import services as tasks
from apps.webhooks import services
from apps.webhooks.http_client import AttemptResult, Outcome
from apps.webhooks.http_client.response import MAX_EXCERPT_BYTES
from apps.webhooks.models import Attempt, Delivery, DeliveryStatus, Destination
from apps.webhooks.retry_schedule import next_delay
from apps.webhooks.services.pipeline.claiming import CLAIM_MARGIN_SECONDS, claim
from apps.webhooks.services.pipeline.recording import record
from tests.factories import House
from tests.receiver import Receiver, Reply


def callback(url: str, **handoff: Any) -> dict[str, Any]:
    return {"handoff": {"callback_url": f"{url}/hook", **handoff}}


def test_deliver_due__is_verified_by_a_standard_library(house: House, receiver: Receiver) -> None:
    auth = {"type": "bearer", "token": "s3cret-token"}
    task = house.completed(**callback(receiver.url, callback_auth=auth))
    assert services.deliver_due() == 9
    ours = house.organisation.id
    secret, _ = services.keys_of([ours])[ours]
    for request in receiver.received:
        assert Webhook(secret).verify(request.body, request.headers)
        assert request.headers["authorization"] == "Bearer s3cret-token"
        assert request.headers["content-type"] == "application/json"
    bodies = [json.loads(request.body) for request in receiver.received]
    assert [body["data"]["sequence"] for body in bodies] == list(range(1, 10))
    assert [body["type"].removeprefix("task.") for body in bodies] == (
        [
            "created",
            "queued",
            "matched",
            "offered",
            "accepted",
            "started",
            "submitted",
            "verified",
            "completed",
        ]
    )
    assert all(body["data"]["task_id"] == str(task.id) for body in bodies)
    assert [("output" in body["data"]) for body in bodies] == [False] * 7 + [True] * 2
    assert Delivery.objects.filter(status=DeliveryStatus.SUCCEEDED).count() == 9
    assert Attempt.objects.filter(outcome="ok", status_code=204).count() == 9


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (
            {"type": "basic", "username": "ann", "password": "p:w"},
            "authorization",
            "Basic YW5uOnA6dw==",
        ),
        ({"type": "header", "name": "X-Api-Key", "value": "k 1"}, "x-api-key", "k 1"),
    ],
)
def test_deliver_due__authenticates(
    house: House, receiver: Receiver, auth: dict[str, str], header: str, value: str
) -> None:
    house.task(**callback(receiver.url, callback_auth=auth))
    services.deliver_due()
    assert receiver.received[0].headers[header] == value


def test_credentials__are_encrypted_at_rest(house: House) -> None:
    auth = {"type": "bearer", "token": "s3cret-token"}
    house.task(**callback("http://127.0.0.1:9", callback_auth=auth))
    assert b"s3cret-token" not in bytes(Destination.objects.get().sealed)


def test_failed_attempt__is_retried_by_the_policy_with_the_same_id(
    house: House, receiver: Receiver
) -> None:
    receiver.reply = lambda number: Reply(503 if number < 2 else 200)
    policy = {"max_retries": 2, "backoff_seconds": 100}
    now = clock.now()
    house.task(at=now, **callback(receiver.url, retry_policy=policy))
    assert services.deliver_due(at=now) == 1
    waiting = Delivery.objects.get()
    assert waiting.status == DeliveryStatus.PENDING
    assert 79 <= (waiting.due_at - now).total_seconds() <= 121
    assert services.deliver_due(at=now + timedelta(seconds=79)) == 0
    second = now + timedelta(seconds=121)
    assert services.deliver_due(at=second) == 1
    assert 159 <= (Delivery.objects.get().due_at - second).total_seconds() <= 241
    assert services.deliver_due(at=second + timedelta(seconds=241)) == 1
    done = Delivery.objects.get()
    assert (done.status, done.attempt_count) == (DeliveryStatus.SUCCEEDED, 3)
    ids = {request.headers["webhook-id"] for request in receiver.received}
    stamps = {request.headers["webhook-timestamp"] for request in receiver.received}
    bodies = {request.body for request in receiver.received}
    assert (len(ids), len(stamps), len(bodies)) == (1, 3, 1)
    codes = list(Attempt.objects.order_by("number").values_list("number", "status_code"))
    assert codes == [(1, 503), (2, 503), (3, 200)]


def test_failed_attempt__exhausts_the_delivery_without_retries_left(
    house: House, receiver: Receiver
) -> None:
    receiver.reply = lambda _: Reply(500, body=b"boom")
    house.task(**callback(receiver.url, retry_policy={"max_retries": 0}))
    services.deliver_due()
    assert Delivery.objects.get().status == DeliveryStatus.EXHAUSTED
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.status_code, attempt.response_excerpt) == (
        "status",
        500,
        "boom",
    )
    assert services.deliver_due(at=clock.now() + timedelta(days=2)) == 0


@pytest.mark.parametrize("backoff", [1, 3600])
def test_next_delay__is_never_longer_than_12_hours(backoff: int) -> None:
    delay = next_delay(retries_used=19, max_retries=20, backoff_seconds=backoff)
    assert delay == timedelta(hours=12)


def test_redirect__is_a_failure_and_not_followed(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(302, headers={"Location": f"{receiver.url}/elsewhere"})
    house.task(**callback(receiver.url))
    services.deliver_due()
    assert [request.path for request in receiver.received] == ["/hook"]
    assert Attempt.objects.get().status_code == 302


def test_address__is_checked_when_the_socket_is_made(
    house: House, receiver: Receiver, settings: Any
) -> None:
    house.task(**callback(receiver.url))
    settings.ALLOW_LOOPBACK_CALLBACKS = False
    services.deliver_due()
    assert receiver.received == []
    assert Attempt.objects.get().outcome == "address_denied"


def test_refused_connection__is_recorded(house: House) -> None:
    # A port that is bound, so that no other process gets it, but not listened on.
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        house.task(**callback(f"http://127.0.0.1:{holder.getsockname()[1]}"))
        services.deliver_due()
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.status_code) == ("connection", None)


def test_silent_receiver__ends_at_the_deadline_and_delays_no_other(
    house: House, receiver: Receiver
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        slow = house.task(**callback(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        Destination.objects.filter(id=slow.id).update(timeout_seconds=1)
        house.task(**callback(receiver.url))
        began = time.monotonic()
        assert services.deliver_due() == 2
        assert 0.9 < time.monotonic() - began < 5
    assert sorted(Attempt.objects.values_list("outcome", flat=True)) == ["ok", "timeout"]


def test_long_response__is_read_up_to_the_bound(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(200, body=b"x" * 5_000_000)
    house.task(**callback(receiver.url))
    services.deliver_due()
    assert len(Attempt.objects.get().response_excerpt) == MAX_EXCERPT_BYTES


def test_claim_of_a_dead_sender__is_sent_again(house: House, receiver: Receiver) -> None:
    now = clock.now()
    house.task(at=now, **callback(receiver.url))
    (lost,) = claim(limit=10, at=now).deliveries
    assert services.deliver_due(at=now) == 0
    later = now + timedelta(seconds=lost.timeout_seconds + CLAIM_MARGIN_SECONDS)
    assert services.deliver_due(at=later) == 1
    # The late result of the first sender is not recorded.
    record([(lost, AttemptResult(lost.token, Outcome.CONNECTION, 1))])
    done = Delivery.objects.get()
    assert (done.status, done.attempt_count) == (DeliveryStatus.SUCCEEDED, 1)
    assert Attempt.objects.count() == 1


def test_undecryptable_credentials__are_recorded_and_delay_no_other(
    house: House, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    auth = {"type": "bearer", "token": "t"}
    broken = house.task(**callback(receiver.url, callback_auth=auth))
    Destination.objects.filter(id=broken.id).update(sealed=b"not a token")
    house.task(**callback(receiver.url))
    assert services.deliver_due() == 2
    assert len(receiver.received) == 1
    assert sorted(Attempt.objects.values_list("outcome", flat=True)) == ["ok", "unreadable"]
    assert "the credentials cannot be decrypted" in caplog.text


def test_task_without_callback__has_no_delivery(house: House) -> None:
    house.task()
    tasks.queue_created()
    assert Delivery.objects.count() == 0
