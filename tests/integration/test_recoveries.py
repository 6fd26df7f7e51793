"""Test sending again: one delivery, or all that failed, was held, or was missed."""

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from apps.accounts.scopes import Role
from apps.base import clock
from apps.webhooks.models import Attempt, Delivery, Destination, DestinationStatus, Recovery
from apps.webhooks.services import (
    apply_retention,
    deliver_due,
    release_recoveries,
    resend,
    start_recovery,
)
from apps.webhooks.services.recoveries import recover_held
from biolayer.errors import NotFound, RoleTooLow
from biolayer.requests.webhooks import RecoveryRequest
from tests.destinations import counts, emit, emit_many, endpoint, origin
from tests.factories import House
from tests.receiver import Receiver, Reply

HOUR = timedelta(hours=1)


def drain_until(start: datetime, until: datetime, step: timedelta) -> None:
    """Drain from `start` to `until`, once every `step`."""
    at = start
    while at <= until:
        release_recoveries(at=at)
        deliver_due(at=at)
        at += step


def sequences_by_task(receiver: Receiver) -> dict[str, list[int]]:
    """Return the sequences of each task, in the order received."""
    received: dict[str, list[int]] = {}
    for request in receiver.received:
        data = json.loads(request.body)["data"]
        received.setdefault(data["task_id"], []).append(data["sequence"])
    return received


def recover(house: House, at: datetime, **request: Any) -> Recovery:
    recovery_request = RecoveryRequest(
        **{"kind": "failed", "since": at - timedelta(days=29), **request}
    )
    return start_recovery(actor=house.alice.principal, request=recovery_request, at=at)


def test_resend__of_an_exhausted_delivery_has_the_full_budget(
    house: House, receiver: Receiver
) -> None:
    receiver.reply = lambda _: Reply(500)
    endpoint(house, f"{receiver.url}/hook", max_retries=1, backoff_seconds=1)
    at = clock.now()
    emit(house, at=at)
    deliver_due(at=at)
    deliver_due(at=at + HOUR)
    given_up = Delivery.objects.get()
    assert (given_up.status, given_up.attempt_count) == ("exhausted", 2)
    resent = resend(actor=house.alice.principal, delivery_id=given_up.id, at=at + 2 * HOUR)
    assert (resent.status, resent.wait) == ("pending", "resent")
    deliver_due(at=at + 2 * HOUR)
    assert Delivery.objects.get().status == "pending"
    receiver.reply = lambda _: Reply(204)
    deliver_due(at=at + 3 * HOUR)
    done = Delivery.objects.get()
    assert (done.status, done.attempt_count, done.was_exhausted) == ("succeeded", 4, True)
    assert list(Attempt.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3, 4]
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1


def test_resend__of_a_delivered_one_sends_it_again(house: House, receiver: Receiver) -> None:
    endpoint(house, f"{receiver.url}/hook")
    emit(house, at=clock.now())
    deliver_due()
    delivered = Delivery.objects.get()
    resend(actor=house.alice.principal, delivery_id=delivered.id, at=clock.now())
    deliver_due()
    assert len(receiver.received) == 2
    assert Delivery.objects.get().status == "succeeded"


def test_resend__of_a_gone_callback_enables_it(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda number: Reply(410 if number == 0 else 204)
    task = house.queued(handoff={"callback_url": f"{receiver.url}/hook"})
    deliver_due()
    assert counts() == {"exhausted": 1, "held": 1}
    first = Delivery.objects.get(sequence=1)
    resend(actor=house.alice.principal, delivery_id=first.id, at=clock.now())
    drain_until(clock.now(), clock.now() + timedelta(seconds=3), timedelta(seconds=1))
    assert Destination.objects.get(id=task.id).status == DestinationStatus.ENABLED
    assert sequences_by_task(receiver) == {str(task.id): [1, 1, 2]}


def test_resend__requires_organisation_and_role(house: House, receiver: Receiver) -> None:
    endpoint(house, f"{receiver.url}/hook")
    emit(house, at=clock.now())
    delivery = Delivery.objects.get()
    with pytest.raises(NotFound):
        resend(actor=house.charlie.principal, delivery_id=delivery.id, at=clock.now())
    viewer = house.alice.principal
    viewer = type(viewer)(**{**_fields(viewer), "role": Role.VIEWER.value})
    with pytest.raises(RoleTooLow):
        resend(actor=viewer, delivery_id=delivery.id, at=clock.now())


def _fields(principal: Any) -> dict[str, Any]:
    return {name: getattr(principal, name) for name in principal.__slots__}


def test_after_48_hours_of_outage__one_call_restores_everything_once_and_in_order(
    house: House, receiver: Receiver
) -> None:
    endpoint(house, f"{receiver.url}/endpoint")
    callbacks = [
        house.task(handoff={"callback_url": f"{receiver.url}/callback"}).id for _ in range(5)
    ]
    start = clock.now()
    receiver.reply = lambda _: Reply(503)
    task_ids: list[UUID] = []
    for hour in range(0, 48, 4):
        task_ids += emit_many(house, subjects=4, each=4, at=start + hour * HOUR)
        drain_until(start + hour * HOUR, start + (hour + 4) * HOUR, timedelta(minutes=20))
    assert "succeeded" not in counts()
    receiver.received.clear()
    receiver.reply = lambda _: Reply(204)
    end = start + 48 * HOUR
    recovery = recover(house, end)
    drain_until(end, end + timedelta(minutes=3), timedelta(seconds=1))
    total = len(task_ids) * 4 + len(callbacks) * 2
    assert counts() == {"succeeded": total}
    assert Counter(len(sequences) for sequences in sequences_by_task(receiver).values()) == {
        4: len(task_ids),
        2: 5,
    }
    for task_id in task_ids:
        assert sequences_by_task(receiver)[str(task_id)] == [1, 2, 3, 4]
    recovery.refresh_from_db()
    assert recovery.released_at is not None
    assert recovery.released_count > 0


def test_recover__is_paced(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(500)
    slow = endpoint(house, f"{receiver.url}/hook", max_retries=0, backoff_seconds=1)
    at = clock.now()
    emit_many(house, subjects=8, each=1, at=at)
    drain_until(at, at + HOUR, timedelta(minutes=1))
    assert counts() == {"exhausted": 8}
    receiver.reply = lambda _: Reply(204)
    later = at + 2 * HOUR
    recovery = recover(house, later, endpoint_id=slow.id, rate_per_minute=60)
    release_recoveries(at=later)
    sent = [deliver_due(at=later + timedelta(seconds=second)) for second in range(9)]
    assert sent == [1] * 8 + [0]
    recovery.refresh_from_db()
    assert (recovery.released_count, counts()) == (8, {"succeeded": 8})


def test_recover__leaves_older_deliveries_and_other_endpoints(
    house: House, receiver: Receiver
) -> None:
    receiver.reply = lambda _: Reply(500)
    mine = endpoint(house, f"{receiver.url}/hook", max_retries=0, backoff_seconds=1)
    other = endpoint(house, f"{receiver.url}/other", max_retries=0, backoff_seconds=1)
    at = clock.now()
    emit(house, at=at)
    emit(house, at=at + HOUR)
    drain_until(at, at + 2 * HOUR, timedelta(minutes=30))
    recover(house, at + 3 * HOUR, since=at + HOUR / 2, endpoint_id=mine.id)
    assert release_recoveries(at=at + 3 * HOUR) == 1
    assert counts(destination=mine) == {"exhausted": 1, "pending": 1}
    assert counts(destination=other) == {"exhausted": 2}


def test_missed__sends_a_new_endpoint_what_matches_its_filters(
    house: House, receiver: Receiver
) -> None:
    at = clock.now()
    before = emit_many(house, subjects=3, each=3, at=at)
    emit(house, event_type="task.cancelled", at=at)
    event_types = ["task.created", "endpoint.*"]
    late = endpoint(house, f"{receiver.url}/hook", event_types=event_types)
    emit(house, at=at + HOUR)
    deliver_due(at=at + HOUR)
    receiver.received.clear()
    recovery = recover(house, at + 2 * HOUR, kind="missed", endpoint_id=late.id)
    assert release_recoveries(at=at + 2 * HOUR) == 9
    drain_until(at + 2 * HOUR, at + 2 * HOUR + timedelta(seconds=3), timedelta(seconds=1))
    assert sequences_by_task(receiver) == {str(task_id): [1, 2, 3] for task_id in before}
    recovery.refresh_from_db()
    assert recovery.released_count == 9
    # A second recovery finds nothing more.
    recover(house, at + 3 * HOUR, kind="missed", endpoint_id=late.id)
    assert release_recoveries(at=at + 3 * HOUR) == 0


@pytest.mark.parametrize(
    ("event_types", "is_sent"),
    [(["*"], False), (["task.*"], False), (["task.created", "task.sla_at_risk"], True)],
)
def test_missed__has_a_silent_event_only_where_it_is_named(
    house: House, receiver: Receiver, event_types: list[str], *, is_sent: bool
) -> None:
    at = clock.now()
    emit(house, event_type="task.created", at=at)
    emit(house, event_type="task.sla_at_risk", at=at)
    late = endpoint(house, f"{receiver.url}/hook", event_types=event_types)
    recover(house, at + HOUR, kind="missed", endpoint_id=late.id)
    assert release_recoveries(at=at + HOUR) == 1 + is_sent
    sent_types = set(Delivery.objects.values_list("event_type", flat=True))
    assert sent_types == {"task.created"} | ({"task.sla_at_risk"} if is_sent else set())


def test_held__goes_out_in_order_when_its_endpoint_is_enabled(
    house: House, receiver: Receiver
) -> None:
    paused = endpoint(house, f"{receiver.url}/hook", status=DestinationStatus.PAUSED)
    at = clock.now()
    task_ids = emit_many(house, subjects=5, each=4, at=at)
    deliver_due(at=at)
    assert counts() == {"held": 20}
    Destination.objects.update(status=DestinationStatus.ENABLED)
    later = at + timedelta(days=2)
    recover_held(
        destination_id=paused.id,
        organisation_id=house.organisation.id,
        created_by="Alice",
        at=later,
    )
    # A later event of the same task waits for those before it.
    emit(house, subject_id=task_ids[0], sequence=5, at=later)
    deliver_due(at=later)
    drain_until(later, later + timedelta(seconds=3), timedelta(seconds=1))
    assert sequences_by_task(receiver)[str(task_ids[0])] == [1, 2, 3, 4, 5]
    assert counts() == {"succeeded": 21}


def test_interrupted_recovery__continues(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.webhooks.services.recoveries import releasing

    receiver.reply = lambda _: Reply(500)
    endpoint(house, f"{receiver.url}/hook", max_retries=0, backoff_seconds=1)
    at = clock.now()
    for number in range(9):
        emit(house, at=at + timedelta(seconds=number))
    drain_until(at, at + 2 * HOUR, timedelta(minutes=10))
    assert counts() == {"exhausted": 9}
    monkeypatch.setattr(releasing, "PAGE", 4)
    recovery = recover(house, at + 3 * HOUR)
    assert releasing._release_page(recovery.id, at + 3 * HOUR) == 4
    assert release_recoveries(at=at + 4 * HOUR) == 5
    recovery.refresh_from_db()
    assert recovery.released_count == 9
    assert counts() == {"pending": 9}


def test_undelivered_for_30_days__expires(house: House, receiver: Receiver) -> None:
    endpoint(house, f"{receiver.url}/hook", status=DestinationStatus.PAUSED)
    at = clock.now()
    emit(house, at=at)
    deliver_due(at=at)
    apply_retention(at=at + timedelta(days=29, hours=23))
    assert counts() == {"held": 1}
    apply_retention(at=at + timedelta(days=30, minutes=1))
    assert counts() == {"expired": 1}
    apply_retention(at=at + timedelta(days=61))
    assert counts() == {}


def test_delivered__is_kept_30_days_with_its_attempts(house: House, receiver: Receiver) -> None:
    endpoint(house, f"{receiver.url}/hook")
    at = clock.now()
    emit(house, at=at)
    deliver_due(at=at)
    apply_retention(at=at + timedelta(days=29))
    assert (counts(), Attempt.objects.count()) == ({"succeeded": 1}, 1)
    apply_retention(at=at + timedelta(days=31))
    assert (counts(), Attempt.objects.count()) == ({}, 0)


def test_recovery__makes_the_breaker_probe_at_once(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(500)
    broken = endpoint(house, f"{receiver.url}/hook")
    at = clock.now()
    emit_many(house, subjects=12, each=1, at=at)
    drain_until(at, at + HOUR, timedelta(minutes=2))
    assert origin(broken).probe_seconds == 900
    receiver.reply = lambda _: Reply(204)
    later = at + HOUR + timedelta(minutes=2)
    recover(house, later)
    drain_until(later, later + timedelta(seconds=5), timedelta(seconds=1))
    assert counts() == {"succeeded": 12}
