"""What makes a worker eligible: hours, snoozes, missed offers, ratings."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.principal import system
from apps.base import clock
from apps.base.rows import batched, write
from apps.base.transactions import atomic
from apps.base.wake import Waker, wake
from apps.pools import services as pool_services
from apps.pools.changes import (
    answered_offer,
    capacity_release,
    capacity_reservation,
    missed_offer,
)
from apps.pools.models import Membership, Pool, Worker
from apps.timers.models import Timer
from apps.timers.services import RETRY_SECONDS, fire_due
from biolayer.errors import NotFound
from tests.api.expect import expect_unchanged
from tests.factories import House, worker_in

NINE_TO_FIVE = {"mon": [["09:00", "17:00"]]}
MONDAY = datetime(2035, 3, 5, tzinfo=UTC)
"""Far ahead, so that a timer that is set now is due by it."""


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The drains that were woken."""
    names: list[str] = []
    monkeypatch.setattr(Waker, "request", lambda _, name: names.append(name))
    return names


def membership(worker: Worker) -> Membership:
    return Membership.objects.get(worker_id=worker.id)


def fire(at: datetime) -> None:
    assert fire_due(at=at) == 1


# --- hours and snoozes ----------------------------------------------------------------------------


def test_a_shift_begins_and_ends_by_its_timer(house: House, woken: list[str]) -> None:
    worker = house.bobs_worker
    house.alice.patch(f"/v1/workers/{worker.id}", {"hours": NINE_TO_FIVE})
    woken.clear()
    for hour, is_on, next_hour in ((9, True, 17), (17, False, 9 + 7 * 24)):
        fire(MONDAY + timedelta(hours=hour))
        worker.refresh_from_db()
        assert (worker.is_on_shift, membership(worker).free) == (is_on, int(is_on))
        assert Timer.objects.get().due_at == MONDAY + timedelta(hours=next_hour)
    assert woken == ["matching", "matching"]


def test_a_snooze_ends_by_its_timer(house: House, woken: list[str]) -> None:
    house.bob.patch("/v1/workers/me", {"snooze_seconds": 600})
    worker = Worker.objects.get()
    assert worker.snoozed_until is not None
    woken.clear()
    assert fire_due(at=worker.snoozed_until - timedelta(microseconds=1)) == 0
    fire(worker.snoozed_until)
    worker.refresh_from_db()
    assert (worker.snoozed_until, membership(worker).free) == (None, 1)
    assert (Timer.objects.count(), woken) == (0, ["matching"])


def test_a_snooze_that_ends_within_a_shift_leaves_the_shifts_end(house: House) -> None:
    worker = house.bobs_worker
    house.alice.patch(f"/v1/workers/{worker.id}", {"hours": NINE_TO_FIVE})
    fire(MONDAY + timedelta(hours=9))
    until = MONDAY + timedelta(hours=10)
    pool_services.set_presence(
        actor=house.bob.principal, snooze_seconds=600, at=until - timedelta(seconds=600)
    )
    assert Timer.objects.get().due_at == until
    fire(until)
    assert Timer.objects.get().due_at == MONDAY + timedelta(hours=17)
    worker.refresh_from_db()
    assert (worker.snoozed_until, worker.is_on_shift) == (None, True)


def test_many_shifts_begin_at_once(house: House) -> None:
    workers = [worker_in(house.pool)[0] for _ in range(3)]
    for worker in workers:
        house.alice.patch(f"/v1/workers/{worker.id}", {"hours": NINE_TO_FIVE})
    Worker.objects.filter(id=workers[0].id).delete()  # past every service
    assert fire_due(at=MONDAY + timedelta(hours=9)) == 3
    assert (
        fire_due(at=MONDAY + timedelta(hours=9, seconds=RETRY_SECONDS)) == 1
    )  # the timer of no worker
    on = Worker.objects.filter(id__in=[worker.id for worker in workers], is_on_shift=True)
    assert on.count() == 2
    dues = set(Timer.objects.values_list("due_at", flat=True))
    assert (Timer.objects.count(), dues) == (2, {MONDAY + timedelta(hours=17)})


def test_presence__leaves_the_place_in_the_waiting_line(house: House) -> None:
    since = Worker.objects.get().waiting_since
    for body in ({"presence": "offline"}, {"presence": "available"}, {"snooze_seconds": 5}):
        house.bob.patch("/v1/workers/me", body)
    assert Worker.objects.get().waiting_since == since


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "workers/me", {"presence": "available"}),
        ("PATCH", "workers/me", {"snooze_seconds": 0}),
        ("POST", "workers", {"name": "Dora"}),
        ("PATCH", "workers/{worker}", {"skills": ["audit"]}),
        ("PATCH", "pools/{pool}", {"costs": {}}),
        ("POST", "pools/{pool}/members", {"worker_id": "{worker}"}),
    ],
)
def test_whatever_makes_somebody_eligible__wakes_the_matcher(
    house: House, woken: list[str], method: str, path: str, body: dict[str, Any]
) -> None:
    names = {"worker": house.bobs_worker.id, "pool": house.pool.id}
    body = {
        name: value.format(**names) if isinstance(value, str) else value
        for name, value in body.items()
    }
    caller = house.bob if path.endswith("me") else house.alice
    woken.clear()
    assert caller.call(method, f"/v1/{path.format(**names)}", body).status_code in (200, 201)
    assert [drain for drain in woken if drain != "audit"] == ["matching"]


def test_wake__sends_one_request_for_each_drain_and_commit(house: House, woken: list[str]) -> None:
    for _ in range(2):
        woken.clear()
        with atomic():
            for drain in ("matching", "deliveries", "matching"):
                wake(drain)
            assert woken == []
        assert woken == ["matching", "deliveries"]


# --- missed offers --------------------------------------------------------------------------------


def state(worker: Worker) -> tuple[int, int, str, str]:
    worker.refresh_from_db()
    return worker.load, worker.missed_in_row, worker.presence, worker.presence_reason


def loaded(house: House, load: int) -> Worker:
    Worker.objects.update(load=load, capacity=9)
    return Worker.objects.get(id=house.bobs_worker.id)


def test_missed__relieves_counts_and_from_the_limit_on_sets_away(house: House) -> None:
    worker = loaded(house, 6)
    since = worker.waiting_since
    for expected in (
        (4, 1, "available", ""),
        (2, 2, "available", ""),
        (0, 3, "away", "missed_offers"),
    ):
        write([missed_offer(worker_id=worker.id, until_away=3, units=2)])
        assert state(worker) == expected
    assert (membership(worker).free, worker.waiting_since) == (0, since)


def test_missed__without_a_limit_never(house: House) -> None:
    worker = loaded(house, 1)
    Worker.objects.update(missed_in_row=32_767)
    write([missed_offer(worker_id=worker.id, until_away=None)])
    assert state(worker) == (0, 32_767, "available", "")


def test_missed__many_at_once_are_one_change(house: House) -> None:
    worker = loaded(house, 3)
    with batched():
        for _ in range(3):
            write([missed_offer(worker_id=worker.id, until_away=3)])
    assert state(worker) == (0, 3, "away", "missed_offers")


def test_missed__a_worker_who_said_where_it_is_stays_there(house: House) -> None:
    worker = loaded(house, 1)
    house.bob.patch("/v1/workers/me", {"presence": "busy"})
    write([missed_offer(worker_id=worker.id, until_away=1)])
    assert state(worker) == (0, 1, "busy", "")


def test_answered__forgets_what_was_missed(house: House) -> None:
    worker = loaded(house, 2)
    write([missed_offer(worker_id=worker.id, until_away=3)])
    write([answered_offer(worker_id=worker.id)])
    assert state(worker) == (1, 0, "available", "")


def test_answered__by_who_missed_nothing_writes_nothing(house: House) -> None:
    with expect_unchanged():
        rows = Worker.objects.extra(select={"xmin": "xmin::text"})
        before = rows.values_list("xmin", flat=True).get()
        write([answered_offer(worker_id=house.bobs_worker.id)])
        assert rows.values_list("xmin", flat=True).get() == before


def test_all_changes_of_a_worker_in_a_batch__are_one(house: House) -> None:
    worker, other = loaded(house, 5), worker_in(house.pool, capacity=9)[0]
    at = clock.now()
    with batched():
        write([missed_offer(worker_id=worker.id, until_away=1, units=2)])
        write([capacity_release(worker_id=worker.id, units=1, worked_until=at)])
        write(
            [answered_offer(worker_id=worker.id), capacity_reservation(worker_id=other.id, units=4)]
        )
        write([capacity_reservation(worker_id=worker.id, units=3)])
    assert (state(worker), state(other)) == ((5, 0, "available", ""), (4, 0, "available", ""))
    assert worker.waiting_since == at


def test_reserve_and_relieve__that_cancel_out_still_move_the_waiting_line(house: House) -> None:
    worker, at = loaded(house, 1), clock.now()
    write(
        [
            capacity_release(worker_id=worker.id, worked_until=at),
            capacity_reservation(worker_id=worker.id),
        ]
    )
    worker.refresh_from_db()
    assert (worker.load, worker.waiting_since) == (1, at)


# --- ratings --------------------------------------------------------------------------------------


def rate(house: House, *stars: int) -> Worker:
    actor = system("review", house.organisation.id)
    for each in stars:
        pool_services.rate_worker(
            actor=actor, worker_id=house.bobs_worker.id, stars=each, at=clock.now()
        )
    return Worker.objects.get(id=house.bobs_worker.id)


def test_rate__is_the_mean_of_all(house: House, woken: list[str]) -> None:
    worker = rate(house, 5, 4, 4)
    assert (worker.rating_now, worker.rating_count) == (pytest.approx(13 / 3), 3)
    assert membership(worker).rating == pytest.approx(13 / 3)
    assert woken == ["matching"] * 3


def test_rate__what_was_brought_along_counts_as_ten(house: House) -> None:
    Worker.objects.update(rating=4, rating_count=10)
    worker = rate(house, 5)
    assert (worker.rating_now, worker.rating_count) == (pytest.approx(45 / 11), 11)


def test_rate__refused_for_another_organisations_worker(house: House) -> None:
    stranger = system("review", house.strangers_pool.organisation_id)
    with expect_unchanged():
        for worker_id in (house.bobs_worker.id, uuid4()):
            with pytest.raises(NotFound):
                pool_services.rate_worker(
                    actor=stranger, worker_id=worker_id, stars=5, at=clock.now()
                )


def mean(pool: Pool) -> float | None:
    return Pool.objects.get(id=pool.id).rating_mean


def test_means__are_those_of_rated_members_and_seats_follow(house: House, woken: list[str]) -> None:
    worker_in(house.pool, rating=4.0)
    new, _ = worker_in(house.pool)
    rate(house, 3, 3, 3, 3, 3)
    woken.clear()
    assert pool_services.refresh_rating_means() == 1
    assert (mean(house.pool), mean(house.strangers_pool)) == (3.5, None)
    ratings = {one.worker_id: one.rating for one in Membership.objects.all()}
    assert ratings[house.bobs_worker.id] == pytest.approx((3 * 5 + 3.5 * 5) / 10)
    assert ratings[new.id] == 3.5
    assert woken == ["matching"]
    with expect_unchanged():
        assert pool_services.refresh_rating_means() == 0


def test_means__a_seat_that_rose_has_opened(house: House) -> None:
    good, _ = worker_in(house.pool, rating=5)
    new, _ = worker_in(house.pool)
    before = {one.worker_id: one.opened_in for one in Membership.objects.all()}
    rate(house, 1)
    before |= {house.bobs_worker.id: membership(house.bobs_worker).opened_in}
    assert pool_services.refresh_rating_means() == 1  # to 3
    after = {one.worker_id: one.opened_in for one in Membership.objects.all()}
    assert after[good.id] == before[good.id]
    assert after[new.id] > before[new.id]
    assert after[house.bobs_worker.id] > before[house.bobs_worker.id]


def test_means__small_moves_are_none_and_nobody_rated_is_null(house: House) -> None:
    rate(house, 4)
    assert pool_services.refresh_rating_means() == 1
    Worker.objects.filter(id=house.bobs_worker.id).update(exact_rating="4.01")
    with expect_unchanged():
        assert pool_services.refresh_rating_means() == 0
    Worker.objects.filter(id=house.bobs_worker.id).update(exact_rating="4.02")
    assert pool_services.refresh_rating_means() == 1
    assert mean(house.pool) == 4.02
    Worker.objects.filter(id=house.bobs_worker.id).update(rating_count=0, exact_rating=0)
    assert pool_services.refresh_rating_means() == 1
    assert (mean(house.pool), membership(house.bobs_worker).rating) == (None, 0)
