"""Timers fire once each: late rather than never, and one that fails holds up no other."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from apps.base import clock
from apps.base.ids import new_id
from apps.base.rows import write
from apps.matching.models import Offer
from apps.matching.services import accept_offer, match_queued
from apps.tasks.models import Task
from apps.tasks.services import cancel_task
from apps.timers import services
from apps.timers.models import Timer
from tests.factories import House
from tests.probes import assert_loads_are_true

KIND = "test"


class Bell:
    """A handler that notes what it was called for, and may be told what to do."""

    def __init__(self) -> None:
        self.rung: list[UUID] = []
        self.broken_for: UUID | None = None
        self.again_at: datetime | None = None

    def __call__(self, timer: Timer, at: datetime) -> datetime | None:
        if timer.subject_id == self.broken_for:
            raise RuntimeError("cracked")
        self.rung.append(timer.subject_id)
        return self.again_at


@pytest.fixture
def bell() -> Iterator[Bell]:
    bell = Bell()
    services.register(KIND, bell)
    yield bell
    services._handlers.pop(KIND)


def set_timer(house: House, due_at: datetime) -> UUID:
    subject_id = new_id()
    write(
        [
            services.set_timer(
                organisation_id=house.organisation.id,
                kind=KIND,
                subject_id=subject_id,
                due_at=due_at,
            )
        ]
    )
    return subject_id


def test_fire_due__fires_what_is_due_once(house: House, bell: Bell) -> None:
    now = clock.now()
    due = [set_timer(house, now - timedelta(seconds=age)) for age in (3, 2, 1)]
    set_timer(house, now + timedelta(seconds=60))
    assert services.fire_due(at=now) == 3
    assert services.fire_due(at=now) == 0
    assert bell.rung == due
    assert Timer.objects.count() == 1


def test_fire_due__one_that_fails_is_tried_again_and_holds_up_nobody(
    house: House, bell: Bell
) -> None:
    now = clock.now()
    broken = bell.broken_for = set_timer(house, now - timedelta(seconds=9))
    fine = set_timer(house, now)
    services.fire_due(at=now)
    assert bell.rung == [fine]
    assert services.fire_due(at=now) == 0
    bell.broken_for = None
    assert services.fire_due(at=now + timedelta(seconds=services.CLAIM_SECONDS)) == 1
    assert bell.rung == [fine, broken]


def test_fire_due__comes_back_when_the_handler_says_so(house: House, bell: Bell) -> None:
    now = clock.now()
    bell.again_at = now + timedelta(minutes=5)
    set_timer(house, now)
    services.fire_due(at=now)
    assert Timer.objects.get().due_at == bell.again_at
    assert services.fire_due(at=now + timedelta(minutes=4)) == 0


def test_fire_due__a_claim_that_its_process_did_not_live_to_finish_comes_due_again(
    house: House, bell: Bell
) -> None:
    now = clock.now()
    subject_id = set_timer(house, now)
    Timer.objects.update(
        due_at=now + timedelta(seconds=services.CLAIM_SECONDS), claim_token=subject_id
    )
    assert services.fire_due(at=now) == 0
    assert services.fire_due(at=now + timedelta(seconds=services.CLAIM_SECONDS)) == 1
    assert bell.rung == [subject_id]


def test_set_timer__sets_the_same_one_anew(house: House, bell: Bell) -> None:
    now = clock.now()
    subject_id = set_timer(house, now)
    anew = services.set_timer(
        organisation_id=house.organisation.id,
        kind=KIND,
        subject_id=subject_id,
        due_at=now + timedelta(minutes=1),
    )
    write([anew])
    assert Timer.objects.get().due_at == now + timedelta(minutes=1)


def test_both_sla_clocks_fire_once_each_and_say_which(house: House) -> None:
    now = clock.now()
    deadline = now + timedelta(seconds=30)
    task = house.task(at=now, sla={"deadline": deadline.isoformat(), "target_latency_seconds": 10})
    assert services.fire_due(at=now + timedelta(seconds=9)) == 0
    for seconds in (10, 30, 31):
        services.fire_due(at=now + timedelta(seconds=seconds))
    shown = house.alice.get(f"/v1/tasks/{task.id}").json()
    assert [breach["breach"] for breach in shown["sla"]["breaches"]] == [
        "deadline",
        "target_latency",
    ]
    log = house.alice.get(f"/v1/tasks/{task.id}/events").json()["data"]
    assert [event["data"].get("breach") for event in log] == [None, "target_latency", "deadline"]
    assert Timer.objects.count() == 0


def test_a_task_that_ends_late_says_so_first(house: House) -> None:
    now = clock.now()
    task = house.task(at=now, sla={"target_latency_seconds": 10})
    house.alice.post(f"/v1/tasks/{task.id}/cancel")
    on_time = house.alice.get(f"/v1/tasks/{task.id}/events").json()["data"]
    assert [event["type"] for event in on_time] == ["task.created", "task.cancelled"]
    late = house.task(at=now, sla={"target_latency_seconds": 10})
    cancel_task(
        actor=house.alice.principal, task_id=late.id, reason="", at=now + timedelta(seconds=11)
    )
    log = house.alice.get(f"/v1/tasks/{late.id}/events").json()["data"]
    assert [event["type"] for event in log] == [
        "task.created",
        "task.sla_breached",
        "task.cancelled",
    ]


def test_an_offer_expires_and_a_lease_lapses_by_their_timers(house: House) -> None:
    offer = house.offered()
    assert services.fire_due(at=offer.expires_at) == 1
    offer.refresh_from_db()
    assert offer.status == "expired"
    assert Task.objects.get().status == "queued"
    assert Timer.objects.count() == 0
    later = offer.expires_at + timedelta(hours=1)
    assert match_queued(at=later) == 1
    again = Offer.objects.get(status="open")
    run = accept_offer(actor=house.bob.principal, offer_id=again.id, at=later)
    assert run.lease_until is not None
    assert services.fire_due(at=run.lease_until) == 1
    assert Task.objects.get().status == "queued"
    assert Timer.objects.count() == 0
    assert_loads_are_true()
