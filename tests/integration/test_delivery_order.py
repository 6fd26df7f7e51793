"""Test per-task order: a task's events reach one destination in order; tasks do not wait."""

import json
from collections import defaultdict
from datetime import timedelta
from uuid import UUID

import pytest

from apps.base import clock
from apps.webhooks.models import Delivery, DeliveryStatus, WaitReason
from apps.webhooks.services import deliver_due
from tests.destinations import counts, emit, emit_many, endpoint
from tests.factories import House
from tests.receiver import Received, Receiver, Reply


def task_and_sequence(request: Received) -> tuple[UUID, int]:
    data = json.loads(request.body)["data"]
    return UUID(data["task_id"]), data["sequence"]


def by_task(receiver: Receiver) -> dict[UUID, list[int]]:
    """Return the sequences of each task, in the order received."""
    received: dict[UUID, list[int]] = defaultdict(list)
    for request in receiver.received:
        task_id, sequence = task_and_sequence(request)
        received[task_id].append(sequence)
    return received


def test_events_of_a_task__arrive_in_order(house: House, receiver: Receiver) -> None:
    endpoint(house, f"{receiver.url}/hook")
    task_ids = emit_many(house, subjects=20, each=9, at=clock.now())
    assert deliver_due() == 180
    assert by_task(receiver) == {task_id: list(range(1, 10)) for task_id in task_ids}


def test_next_event__waits_until_the_one_before_succeeded(house: House, receiver: Receiver) -> None:
    endpoint(house, f"{receiver.url}/hook", max_retries=5, backoff_seconds=100)
    now = clock.now()
    (task_id,) = emit_many(house, subjects=1, each=3, at=now)
    receiver.reply = lambda number: Reply(500 if number == 0 else 200)
    deliver_due(at=now)
    other = emit(house, at=now)
    deliver_due(at=now)
    # The first failed and waits for its retry; the second is parked; another task is not affected.
    assert by_task(receiver) == {task_id: [1], other: [1]}
    second = Delivery.objects.get(subject_id=task_id, sequence=2)
    assert (second.status, second.wait) == (DeliveryStatus.PENDING, WaitReason.ORDER)
    assert second.due_at == now + timedelta(minutes=15)
    deliver_due(at=now + timedelta(seconds=121))
    assert by_task(receiver)[task_id] == [1, 1, 2, 3]


def test_next_event__goes_when_the_one_before_is_given_up(house: House, receiver: Receiver) -> None:
    endpoint(house, f"{receiver.url}/hook", max_retries=0, backoff_seconds=1)
    now = clock.now()
    (task_id,) = emit_many(house, subjects=1, each=2, at=now)
    receiver.reply = lambda number: Reply(500 if number == 0 else 200)
    deliver_due(at=now)
    assert by_task(receiver)[task_id] == [1, 2]
    assert counts() == {"exhausted": 1, "succeeded": 1}


def test_next_event__goes_when_it_has_waited_for_15_minutes(
    house: House, receiver: Receiver
) -> None:
    endpoint(house, f"{receiver.url}/hook", max_retries=5, backoff_seconds=3600)
    now = clock.now()
    (task_id,) = emit_many(house, subjects=1, each=4, at=now)
    receiver.reply = lambda number: Reply(500 if number == 0 else 200)
    deliver_due(at=now)
    assert deliver_due(at=now + timedelta(minutes=14, seconds=59)) == 0
    deliver_due(at=now + timedelta(minutes=15))
    # It was overtaken once; later events wait for their own predecessor only.
    assert by_task(receiver)[task_id] == [1, 2, 3, 4]
    deliver_due(at=now + timedelta(hours=2))
    assert by_task(receiver)[task_id] == [1, 2, 3, 4, 1]


def test_next_event__does_not_overtake_one_that_is_about_to_go(
    house: House, receiver: Receiver
) -> None:
    """Send the earlier one first when both are due after an outage."""
    endpoint(house, f"{receiver.url}/hook", max_retries=5, backoff_seconds=600)
    now = clock.now()
    (task_id,) = emit_many(house, subjects=1, each=3, at=now)
    receiver.reply = lambda number: Reply(500 if number == 0 else 200)
    deliver_due(at=now)
    deliver_due(at=now + timedelta(hours=5))
    assert by_task(receiver)[task_id] == [1, 1, 2, 3]


def test_without_order__no_event_waits(house: House, receiver: Receiver) -> None:
    endpoint(house, f"{receiver.url}/hook", is_ordered=False, max_retries=5, backoff_seconds=600)
    now = clock.now()
    (task_id,) = emit_many(house, subjects=1, each=3, at=now)
    receiver.reply = lambda number: Reply(
        500 if task_and_sequence(receiver.received[number])[1] == 1 else 200
    )
    deliver_due(at=now)
    assert sorted(by_task(receiver)[task_id]) == [1, 2, 3]
    assert counts() == {"pending": 1, "succeeded": 2}


@pytest.mark.parametrize("is_ordered", [True, False])
def test_long_backlog_of_a_task__delays_no_other(
    house: House, receiver: Receiver, *, is_ordered: bool
) -> None:
    endpoint(
        house, f"{receiver.url}/hook", is_ordered=is_ordered, max_retries=5, backoff_seconds=600
    )
    now = clock.now()
    (long,) = emit_many(house, subjects=1, each=300, at=now - timedelta(seconds=1))
    short = emit(house, at=now)
    receiver.reply = lambda number: Reply(
        500 if task_and_sequence(receiver.received[number])[0] == long and is_ordered else 200
    )
    deliver_due(at=now)
    received = by_task(receiver)
    assert received[short] == [1]
    assert len(received[long]) == (1 if is_ordered else 300)
