"""Test `endpoint.*` and `delivery.*` events, and when an endpoint is disabled."""

import json
from datetime import datetime, timedelta

import pytest

from apps.base import clock
from apps.webhooks.models import Delivery, Destination, DestinationStatus, Message
from apps.webhooks.services import deliver_due, resend
from tests.destinations import counts, emit, emit_many, endpoint
from tests.factories import House
from tests.receiver import Receiver, Reply

HOUR = timedelta(hours=1)


def events_at(receiver: Receiver, path: str = "/watch") -> list[tuple[str, dict[str, object]]]:
    bodies = [json.loads(request.body) for request in receiver.received if request.path == path]
    return [(body["type"], body["data"]) for body in bodies]


@pytest.fixture
def watch(house: House, receiver: Receiver) -> Destination:
    """Create an endpoint for operational events, on a receiver that fails on all other paths."""
    receiver.reply_to = lambda request: Reply(204 if request.path == "/watch" else 500)
    return endpoint(house, f"{receiver.url}/watch", event_types=["endpoint.*", "delivery.*"])


def deliver_during(start: datetime, until: datetime, step: timedelta) -> None:
    at = start
    while at <= until:
        deliver_due(at=at)
        at += step


def failing_endpoint(house: House) -> Destination:
    """Create an endpoint with an origin of its own, where nothing listens."""
    return endpoint(house, "http://127.0.0.1:9/hook", max_retries=20, backoff_seconds=3600)


def test_failing_endpoint__is_reported_at_1_24_and_72_hours_and_disabled_after_5_days(
    house: House, receiver: Receiver, watch: Destination
) -> None:
    broken = failing_endpoint(house)
    start = clock.now()
    emit_many(house, subjects=3, each=1, at=start)
    deliver_during(start, start + 119 * HOUR, HOUR)
    events = events_at(receiver)
    assert [(kind, data["hours"]) for kind, data in events] == [
        ("endpoint.failing", 1),
        ("endpoint.failing", 24),
        ("endpoint.failing", 72),
    ]
    assert all(data["endpoint_id"] == str(broken.id) for _, data in events)
    assert all(data["last_error"] for _, data in events)
    deliver_during(start + 119 * HOUR, start + 136 * HOUR, HOUR)
    broken.refresh_from_db()
    assert (broken.status, broken.disabled_reason) == (DestinationStatus.DISABLED, "failing")
    kind, data = events_at(receiver)[-1]
    assert (kind, data["reason"]) == ("endpoint.disabled", "failing")
    assert len(events_at(receiver)) == 4
    # Nothing is dropped: what was due is held.
    deliver_during(start + 137 * HOUR, start + 160 * HOUR, HOUR)
    assert counts(destination=broken) == {"held": 3}


def test_failing_endpoint__with_two_events_is_not_disabled(
    house: House, receiver: Receiver, watch: Destination
) -> None:
    broken = failing_endpoint(house)
    start = clock.now()
    emit_many(house, subjects=2, each=1, at=start)
    deliver_during(start, start + 150 * HOUR, HOUR)
    broken.refresh_from_db()
    assert broken.status == DestinationStatus.ENABLED
    assert broken.failure_count >= 20


def test_success__ends_the_failure_streak(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda number: Reply(500 if number < 2 else 204)
    shaky = endpoint(house, f"{receiver.url}/hook", max_retries=5, backoff_seconds=10)
    at = clock.now()
    emit(house, at=at)
    deliver_due(at=at)
    deliver_due(at=at + 2 * HOUR)
    shaky.refresh_from_db()
    assert (shaky.failure_count, shaky.warned_hours) == (2, 1)
    assert shaky.failing_since is not None
    deliver_due(at=at + 3 * HOUR)
    shaky.refresh_from_db()
    assert (shaky.failing_since, shaky.failure_count, shaky.warned_hours) == (None, 0, 0)


def test_exhausted_delivery__is_reported_and_so_is_its_success(
    house: House, receiver: Receiver, watch: Destination
) -> None:
    broken = endpoint(house, f"{receiver.url}/hook", max_retries=0, backoff_seconds=1)
    at = clock.now()
    task_id = emit(house, at=at)
    deliver_during(at, at + timedelta(seconds=2), timedelta(seconds=1))
    delivery = Delivery.objects.get(destination=broken)
    ((kind, data),) = events_at(receiver)
    assert kind == "delivery.exhausted"
    assert data == {
        "delivery_id": str(delivery.id),
        "endpoint_id": str(broken.id),
        "task_id": str(task_id),
        "event_type": "task.created",
        "sequence": 1,
        "attempts": 1,
        "last_error": "HTTP 500",
    }
    receiver.reply_to = lambda _: Reply(204)
    resend(actor=house.alice.principal, delivery_id=delivery.id, at=at + HOUR)
    deliver_during(at + HOUR, at + HOUR + timedelta(seconds=2), timedelta(seconds=1))
    kind, data = events_at(receiver)[-1]
    assert (kind, data["attempts"], data["last_error"]) == ("delivery.recovered", 2, None)


def test_gone__is_reported_at_once(house: House, receiver: Receiver, watch: Destination) -> None:
    receiver.reply_to = lambda request: Reply(204 if request.path == "/watch" else 410)
    endpoint(house, f"{receiver.url}/hook")
    at = clock.now()
    emit(house, at=at)
    deliver_during(at, at + timedelta(seconds=2), timedelta(seconds=1))
    assert sorted(kind for kind, _ in events_at(receiver)) == [
        "delivery.exhausted",
        "endpoint.disabled",
    ]


def test_endpoint__receives_no_event_about_itself_and_events_cause_no_further_ones(
    house: House, receiver: Receiver
) -> None:
    receiver.reply = lambda _: Reply(500)
    event_types = ["task.*", "endpoint.*", "delivery.*"]
    for path in ("a", "b"):
        endpoint(
            house,
            f"{receiver.url}/{path}",
            event_types=event_types,
            max_retries=0,
            backoff_seconds=1,
        )
    at = clock.now()
    emit(house, at=at)
    deliver_during(at, at + 4 * HOUR, timedelta(minutes=20))
    assert Message.objects.filter(event_type="delivery.exhausted").count() == 2
    assert {path for path, _ in _recipients(receiver)} == {"/a", "/b"}
    assert all(about != path for path, about in _recipients(receiver))


def _recipients(receiver: Receiver) -> list[tuple[str, str]]:
    """Return which path received each event, and which endpoint the event was about."""
    paths = {str(row.id): f"/{row.url[-1]}" for row in Destination.objects.all()}
    bodies = [(request.path, json.loads(request.body)) for request in receiver.received]
    return [
        (path, paths[body["data"]["endpoint_id"]])
        for path, body in bodies
        if not body["type"].startswith("task.")
    ]


def test_star__means_every_event_of_tasks_and_no_operational_event(
    house: House, receiver: Receiver
) -> None:
    receiver.reply_to = lambda request: Reply(204 if request.path == "/all" else 500)
    endpoint(house, f"{receiver.url}/all", event_types=["*"])
    endpoint(house, f"{receiver.url}/hook", max_retries=0, backoff_seconds=1)
    at = clock.now()
    emit(house, at=at)
    deliver_during(at, at + timedelta(seconds=2), timedelta(seconds=1))
    assert [kind for kind, _ in events_at(receiver, "/all")] == ["task.created"]
