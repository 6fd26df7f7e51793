"""Test that an origin's failures affect no other: limits, breaker, rate, Retry-After, 410."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection

from apps.base import clock
from apps.webhooks.models import (
    Attempt,
    Delivery,
    DeliveryStatus,
    Destination,
    DestinationStatus,
    Origin,
    WaitReason,
)
from apps.webhooks.services import deliver_due
from apps.webhooks.services.pipeline.claiming import claim
from tests.destinations import counts, emit, emit_many, endpoint, origin
from tests.factories import House
from tests.receiver import Receiver, Reply, receiving


@pytest.fixture
def other() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


def test_origin__has_no_more_under_way_than_its_limit(house: House) -> None:
    at = clock.now()
    busy = endpoint(house, "https://busy.example.com/hook")
    quiet = endpoint(house, "https://quiet.example.com/hook", event_types=["task.completed"])
    emit_many(house, subjects=50, each=1, at=at)
    emit(house, event_type="task.completed", at=at)
    claims = claim(limit=100, at=at).deliveries
    destination_ids = [delivery.destination_id for delivery in claims]
    assert (destination_ids.count(busy.id), destination_ids.count(quiet.id)) == (4, 1)
    # As long as those are under way, no process can claim more of it.
    assert claim(limit=100, at=at).deliveries == ()


def test_free_slots__are_shared_evenly(house: House) -> None:
    at = clock.now()
    for number in range(5):
        endpoint(house, f"https://host-{number}.example.com/hook")
    Origin.objects.update(concurrency=64)
    emit_many(house, subjects=30, each=1, at=at)
    origins = [delivery.origin_id for delivery in claim(limit=10, at=at).deliveries]
    assert sorted(origins.count(origin_id) for origin_id in set(origins)) == [2, 2, 2, 2, 2]


def test_rate_limit__spreads_deliveries(house: House, receiver: Receiver) -> None:
    busy = endpoint(house, f"{receiver.url}/hook")
    Origin.objects.filter(id=busy.origin_id).update(rate_per_minute=60, concurrency=64)
    at = clock.now()
    emit_many(house, subjects=10, each=1, at=at)
    sent = [deliver_due(at=at + timedelta(seconds=second)) for second in range(6)]
    assert sum(sent) in (6, 7)
    assert max(sent[1:]) == 1


def test_high_rate__allows_a_seconds_worth_at_once(house: House, receiver: Receiver) -> None:
    busy = endpoint(house, f"{receiver.url}/hook")
    Origin.objects.filter(id=busy.origin_id).update(rate_per_minute=1200, concurrency=64)
    at = clock.now()
    emit_many(house, subjects=60, each=1, at=at)
    first = deliver_due(at=at)
    assert first in (20, 21)
    assert deliver_due(at=at) == 0
    assert deliver_due(at=at + timedelta(seconds=1)) == 20


def test_breaker__stops_a_failing_origin_and_costs_no_retries(
    house: House, receiver: Receiver, other: Receiver
) -> None:
    receiver.reply = lambda _: Reply(500)
    failing = endpoint(house, f"{receiver.url}/hook")
    well = endpoint(house, f"{other.url}/hook")
    at = clock.now()
    emit_many(house, subjects=40, each=1, at=at)
    deliver_due(at=at)
    assert len(receiver.received) < 20
    assert counts(destination=well) == {"succeeded": 40}
    assert origin(failing).open_until is not None
    untouched = Delivery.objects.filter(destination=failing, attempt_count=0).count()
    assert untouched > 20
    # While it is open nothing is sent; afterwards one probe at a time.
    seen = len(receiver.received)
    assert deliver_due(at=at + timedelta(seconds=20)) == 0
    assert deliver_due(at=at + timedelta(seconds=35)) == 1
    assert len(receiver.received) == seen + 1
    # After a successful probe everything is sent.
    receiver.reply = lambda _: Reply(204)
    deliver_due(at=at + timedelta(seconds=100))
    assert origin(failing).open_until is None
    deliver_due(at=at + timedelta(hours=1))
    assert counts(destination=failing) == {"succeeded": 40}


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after__is_obeyed_by_the_delivery_and_its_origin(
    house: House, receiver: Receiver, status: int
) -> None:
    receiver.reply = lambda number: Reply(status, {"Retry-After": "3600"})
    endpoint(house, f"{receiver.url}/hook", max_retries=3, backoff_seconds=1)
    at = clock.now()
    emit(house, at=at)
    deliver_due(at=at)
    waiting = Delivery.objects.get()
    assert waiting.wait == WaitReason.RETRY_AFTER
    assert timedelta(seconds=3600) <= waiting.due_at - at < timedelta(seconds=3602)
    emit(house, at=at + timedelta(minutes=1))
    assert deliver_due(at=at + timedelta(minutes=59)) == 0
    receiver.reply = lambda _: Reply(204)
    assert deliver_due(at=at + timedelta(minutes=61)) == 2
    assert counts() == {"succeeded": 2}


def test_retry_after__counts_for_a_day_at_most(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda number: Reply(503, {"Retry-After": "9999999"})
    endpoint(house, f"{receiver.url}/hook")
    at = clock.now()
    emit(house, at=at)
    deliver_due(at=at)
    assert Delivery.objects.get().due_at - at < timedelta(hours=24, seconds=2)


def test_retry_after__of_another_status_is_ignored(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda number: Reply(500, {"Retry-After": "86400"})
    busy = endpoint(house, f"{receiver.url}/hook", max_retries=3, backoff_seconds=1)
    at = clock.now()
    emit(house, at=at)
    deliver_due(at=at)
    assert Delivery.objects.get().wait == WaitReason.RETRY
    assert origin(busy).held_until is None


def test_gone__disables_the_endpoint_and_holds_later_events(
    house: House, receiver: Receiver
) -> None:
    receiver.reply = lambda _: Reply(410)
    gone = endpoint(house, f"{receiver.url}/hook")
    at = clock.now()
    emit(house, at=at)
    deliver_due(at=at)
    gone.refresh_from_db()
    assert (gone.status, gone.disabled_reason) == (DestinationStatus.DISABLED, "gone")
    emit(house, at=at + timedelta(seconds=1))
    assert deliver_due(at=at + timedelta(seconds=1)) == 0
    assert counts() == {"exhausted": 1, "held": 1}
    assert len(receiver.received) == 1


def test_gone__of_a_callback_stops_that_tasks_callback_only(
    house: House, receiver: Receiver
) -> None:
    receiver.reply = lambda _: Reply(410)
    handoff = {"handoff": {"callback_url": f"{receiver.url}/hook"}}
    task = house.task(**handoff)
    deliver_due()
    receiver.reply = lambda _: Reply(204)
    another = house.task(**handoff)
    deliver_due()
    statuses = dict(Destination.objects.values_list("id", "status"))
    assert statuses == {task.id: "disabled", another.id: "enabled"}


def test_paused_endpoint__has_its_events_held(house: House, receiver: Receiver) -> None:
    paused = endpoint(house, f"{receiver.url}/hook", status=DestinationStatus.PAUSED)
    sibling = endpoint(house, f"{receiver.url}/other")
    emit_many(house, subjects=30, each=3, at=clock.now())
    deliver_due()
    assert counts(destination=paused) == {"held": 90}
    assert counts(destination=sibling) == {"succeeded": 90}
    assert {request.path for request in receiver.received} == {"/other"}


def test_slow_origin__delays_no_other(house: House, receiver: Receiver) -> None:
    """Send what becomes due while an attempt hangs at once, by the same drain."""
    hanging = threading.Event()
    receiver.reply = lambda _: Reply(204 if hanging.wait(5) else 500)
    endpoint(house, f"{receiver.url}/hook", timeout_seconds=10)
    emit(house, at=clock.now())
    draining = threading.Thread(target=_drain)
    draining.start()
    try:
        time.sleep(0.3)
        with receiving() as quick:
            endpoint(house, f"{quick.url}/hook")
            emit(house, at=clock.now())
            ends = time.monotonic() + 3
            while not quick.received and time.monotonic() < ends:
                time.sleep(0.01)
            assert len(quick.received) == 1
    finally:
        hanging.set()
        draining.join(timeout=10)
    assert counts(status=DeliveryStatus.SUCCEEDED) == {"succeeded": 3}


def _drain() -> None:
    deliver_due(budget_seconds=None)
    connection.close()


def test_attempt__is_stored_with_its_phases(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(500, {"X-Trace": "abc"}, b"no")
    endpoint(house, f"{receiver.url}/hook")
    emit(house, at=clock.now())
    deliver_due()
    attempt = Attempt.objects.get()
    assert attempt.peer == receiver.url.removeprefix("http://")
    assert attempt.connect_ms is not None
    assert attempt.tls_ms is None
    assert attempt.first_byte_ms is not None
    assert attempt.first_byte_ms <= attempt.total_ms
    assert attempt.response_excerpt == "no"
