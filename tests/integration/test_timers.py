"""Timers fire once each, late rather than never; one that fails does not delay the others."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
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
from apps.timers.changes import timer_upsert
from apps.timers.models import Timer
from tests.factories import House
from tests.probes import assert_loads_are_true

KIND = "test"


class Bell:
    """A handler that records its calls; its result and a failure can be set."""

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
            timer_upsert(
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


def test_fire_due__one_that_fails_is_tried_again_and_delays_no_other(
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


def test_fire_due__repeats_when_the_handler_returns_a_time(house: House, bell: Bell) -> None:
    now = clock.now()
    bell.again_at = now + timedelta(minutes=5)
    set_timer(house, now)
    services.fire_due(at=now)
    assert Timer.objects.get().due_at == bell.again_at
    assert services.fire_due(at=now + timedelta(minutes=4)) == 0


def test_fire_due__a_claim_of_a_dead_process_is_due_again(house: House, bell: Bell) -> None:
    now = clock.now()
    subject_id = set_timer(house, now)
    Timer.objects.update(
        due_at=now + timedelta(seconds=services.CLAIM_SECONDS), claim_token=subject_id
    )
    assert services.fire_due(at=now) == 0
    assert services.fire_due(at=now + timedelta(seconds=services.CLAIM_SECONDS)) == 1
    assert bell.rung == [subject_id]


def test_timer_upsert__replaces_the_same_timer(house: House, bell: Bell) -> None:
    now = clock.now()
    subject_id = set_timer(house, now)
    replacement = timer_upsert(
        organisation_id=house.organisation.id,
        kind=KIND,
        subject_id=subject_id,
        due_at=now + timedelta(minutes=1),
    )
    write([replacement])
    assert Timer.objects.get().due_at == now + timedelta(minutes=1)


def test_fire_due__a_full_batch_calls_for_help(
    house: House, bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr(services, "wake", woken.append)
    monkeypatch.setattr(services, "BATCH", 2)
    now = clock.now()
    for _ in range(3):
        set_timer(house, now)
    assert (services.fire_due(at=now), woken) == (2, ["timers"])
    assert (services.fire_due(at=now), woken) == (1, ["timers"])


# --- many at once --------------------------------------------------------------------------


class Peal(Bell):
    """A handler that can also do many at once. What it does is a row: a timer of the past."""

    def __init__(self) -> None:
        super().__init__()
        self.together: list[list[UUID]] = []
        self.left: set[UUID] = set()
        self.taken_over: UUID | None = None

    def ring(self, subject_ids: Sequence[UUID], at: datetime) -> Mapping[UUID, datetime | None]:
        self.together.append(list(subject_ids))
        Timer.objects.filter(subject_id=self.taken_over).update(claim_token=new_id())
        for subject_id in subject_ids:
            Timer.objects.create(
                organisation_id=subject_id, kind="rung", subject_id=subject_id, due_at=NEVER
            )
        if self.broken_for in subject_ids:
            raise RuntimeError("cracked")
        return {
            subject_id: self.again_at for subject_id in subject_ids if subject_id not in self.left
        }


NEVER = datetime.max.replace(tzinfo=UTC)


@pytest.fixture
def peal() -> Iterator[Peal]:
    peal = Peal()
    services.register(KIND, peal, peal.ring)
    yield peal
    services._handlers.pop(KIND)
    services._batch_handlers.pop(KIND)


def waiting() -> dict[UUID, datetime]:
    """The timers that are set, and for when."""
    return dict(Timer.objects.filter(kind=KIND).values_list("subject_id", "due_at"))


def effects() -> int:
    return Timer.objects.filter(kind="rung").count()


def test_fire_due__many_of_a_kind_at_once(house: House, peal: Peal) -> None:
    now = clock.now()
    due = [set_timer(house, now) for _ in range(3)]
    assert services.fire_due(at=now) == 3
    assert [{*subjects} for subjects in peal.together] == [{*due}]
    assert (peal.rung, effects(), waiting()) == ([], 3, {})


def test_fire_due__one_alone_is_not_many(house: House, peal: Peal) -> None:
    now = clock.now()
    subject_id = set_timer(house, now)
    services.fire_due(at=now)
    assert (peal.rung, peal.together) == ([subject_id], [])


def test_fire_due__many_come_back_when_the_handler_says_so(house: House, peal: Peal) -> None:
    now = clock.now()
    peal.again_at = now + timedelta(minutes=5)
    due = [set_timer(house, now) for _ in range(3)]
    services.fire_due(at=now)
    assert waiting() == dict.fromkeys(due, peal.again_at)
    assert services.fire_due(at=now + timedelta(minutes=4)) == 0
    assert services.fire_due(at=now + timedelta(minutes=5)) == 3


def test_fire_due__many_of_which_one_fails_are_fired_one_by_one(house: House, peal: Peal) -> None:
    now = clock.now()
    due = [set_timer(house, now) for _ in range(3)]
    peal.broken_for = due[1]
    services.fire_due(at=now)
    assert {*peal.rung} == {due[0], due[2]}
    assert effects() == 0, "what was done together before it failed is undone"
    assert waiting() == {due[1]: now + timedelta(seconds=services.CLAIM_SECONDS)}


def test_fire_due__what_the_handler_leaves_comes_again_soon(house: House, peal: Peal) -> None:
    now, soon = clock.now(), timedelta(seconds=services.RETRY_SECONDS)
    due = [set_timer(house, now) for _ in range(3)]
    peal.left = {due[1]}
    services.fire_due(at=now)
    assert (waiting(), peal.rung) == ({due[1]: now + soon}, [])
    assert services.fire_due(at=now) == 0
    assert services.fire_due(at=now + soon) == 1
    assert peal.rung == [due[1]]


def test_fire_due__where_all_are_left_one_is_fired_alone(house: House, peal: Peal) -> None:
    now = clock.now()
    due = [set_timer(house, now) for _ in range(3)]
    peal.left = set(due)
    services.fire_due(at=now)
    assert len(peal.rung) == 1
    again_at = now + timedelta(seconds=services.RETRY_SECONDS)
    assert waiting() == dict.fromkeys({*due} - {*peal.rung}, again_at)


def test_fire_due__many_of_which_another_drain_took_one_over_have_no_effect(
    house: House, peal: Peal
) -> None:
    now = clock.now()
    due = [set_timer(house, now) for _ in range(3)]
    peal.taken_over = due[1]
    services.fire_due(at=now)
    # Its token was changed within our transaction, so that is undone as well.
    assert (effects(), {*peal.rung}, waiting()) == (0, {*due}, {})


# --- what timers are for -------------------------------------------------------------------


def test_both_sla_clocks_fire_once_each_and_say_which(house: House) -> None:
    now = clock.now()
    deadline = now + timedelta(seconds=30)
    task = house.task(at=now, sla={"deadline": deadline.isoformat(), "target_latency_seconds": 10})
    assert services.fire_due(at=now + timedelta(seconds=7)) == 0
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
