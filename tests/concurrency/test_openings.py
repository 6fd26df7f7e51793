"""Seats that open while others look: none is missed, whichever transaction commits first."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from apps.base import clock
from apps.matching import turns
from apps.matching.models import Offer
from apps.matching.services import accept_offer, match_queued, matching
from apps.pools import services as pools
from apps.pools.models import Pool, Presence, Worker
from apps.pools.services import locks, provision_pool
from apps.tasks.models import Requirement, Task
from apps.tasks.services import queue_created
from apps.timers.models import Timer
from tests.concurrency.together import _run, _wait_for, together
from tests.factories import Caller, House, worker_in
from tests.integration.asking import alone, asked


def test_a_seat__that_opened_in_an_older_transaction_is_seen_when_that_commits(
    house: House,
) -> None:
    """The long one began first, and ends after another seat has opened and was looked at."""
    away = {"presence": Presence.AWAY}
    long_gone, _ = worker_in(house.pool, skills=["phone"], **away)
    other, _ = worker_in(house.pool, skills=["typing"], **away)
    task = house.queued(requirements={"skills": ["phone"]})
    assert match_queued() == 0

    def come(worker: Worker) -> None:
        Worker.objects.filter(id=worker.id).update(presence=Presence.AVAILABLE)

    with transaction.atomic():
        come(long_gone)
        together(lambda: come(other))
        assert together(match_queued) == [0]
        assert _is_before(long_gone, other)
    assert match_queued() == 1
    assert asked(task) == {long_gone.id}


def test_a_seat__is_compared_once_however_long_another_transaction_runs(house: House) -> None:
    """It opened with less capacity than the task takes: the task is parked again, once."""
    Pool.objects.update(costs={"verification": 2})
    house.queued(requirements={"skills": ["phone"]})
    assert match_queued() == 0
    (parked_at,) = _nobody_at()
    with transaction.atomic():
        Pool.objects.filter(id=house.strangers_pool.id).update(description="a long one")
        together(lambda: worker_in(house.pool, skills=["phone"]))
        assert together(match_queued) == [0]
        (compared_at,) = _nobody_at()
        assert together(match_queued) == [0]
        (compared_again_at,) = _nobody_at()
    assert parked_at < compared_at
    assert compared_again_at == compared_at


@pytest.mark.parametrize("broadcast_to", [None, 2])
def test_a_task__whose_worker_is_held_just_then_is_not_overtaken(
    house: House, broadcast_to: int | None
) -> None:
    """Both workers fit both tasks: the earlier one gets whoever can be had, and the later one waits."""
    if broadcast_to is not None:
        Pool.objects.update(offer_mode="broadcast", broadcast_to=broadcast_to)
    other, _ = worker_in(house.pool)
    earlier, later = house.task(), house.task()
    queue_created()
    for held, free in ((house.bobs_worker, other), (other, house.bobs_worker)):
        with transaction.atomic():
            Worker.objects.select_for_update().get(id=held.id)
            assert together(match_queued) == [1]
        assert (asked(earlier), asked(later)) == ({free.id}, set())
        assert match_queued() == 1
        assert asked(later) == {held.id}
        earlier, later = house.task(), house.task()
        queue_created()
        Worker.objects.update(load=0)


def test_a_task__whose_best_worker_is_held_goes_to_the_next_best(house: House) -> None:
    longest, _ = worker_in(house.pool)
    since = clock.now() - timedelta(days=1)
    Worker.objects.filter(id=longest.id).update(waiting_since=since)
    task = house.queued()
    with transaction.atomic():
        Worker.objects.select_for_update().get(id=longest.id)
        assert together(match_queued) == [1]
    assert asked(task) == {house.bobs_worker.id}


def test_a_task__whose_worker_was_held_for_one_turn_is_not_overtaken_in_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is gone before the second turn of the same call, which looks at the later task."""
    monkeypatch.setattr(turns, "BATCH", 1)
    earlier, later = house.task(), house.task()
    queue_created()
    at_first = iter([True])

    def lock(units: Any) -> set[Any]:
        if not next(at_first, False):
            return locks.lock_workers_with_capacity(units)
        with transaction.atomic():
            Worker.objects.select_for_update().get(id=house.bobs_worker.id)
            (locked,) = together(lambda: locks.lock_workers_with_capacity(units))
        return set(locked)

    monkeypatch.setattr(pools, "lock_workers_with_capacity", lock)
    assert match_queued() == 0
    assert match_queued() == 1
    assert (asked(earlier), asked(later)) == ({house.bobs_worker.id}, set())


def test_a_worker__who_was_locked_in_vain_is_as_free_as_before(house: House) -> None:
    """Two are to be asked, of whom one is held: the other is asked alone, in the same turn."""
    Pool.objects.update(offer_mode="broadcast", broadcast_to=2)
    held, _ = worker_in(house.pool)
    task = house.queued()
    opened_in = house.bobs_worker.memberships.get().opened_in
    with transaction.atomic():
        Worker.objects.select_for_update().get(id=held.id)
        assert together(match_queued) == [1]
    assert asked(task) == {house.bobs_worker.id}
    assert house.bobs_worker.memberships.get().opened_in == opened_in


@pytest.mark.parametrize("held", ["worker", "tasks"])
def test_tasks__that_are_held_up_hold_up_none_behind_them(
    house: House, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole batch for one worker, who is held just then, or whose tasks are."""
    monkeypatch.setattr(turns, "BATCH", 2)
    other = provision_pool(organisation_id=house.organisation.id, name="Other")
    worker, _ = worker_in(other)
    ahead = [house.queued(requirements={"worker_pool_id": str(house.pool.id)}) for _ in range(4)]
    behind = house.queued(requirements={"worker_pool_id": str(other.id)})
    with transaction.atomic():
        if held == "worker":
            Worker.objects.select_for_update().get(id=house.bobs_worker.id)
        else:
            list(Task.objects.select_for_update().filter(id__in=[one.id for one in ahead]))
        assert together(match_queued) == [1]
    assert asked(behind) == {worker.id}
    assert match_queued() == 1
    assert asked(ahead[0]) == {house.bobs_worker.id}


def test_two_tasks_before_the_same_workers__may_be_accepted_at_once(house: House) -> None:
    """Each acceptance relieves the other worker and forgets what its own missed: in which order, they
    would wait in a circle. Timers are held so that both are under way at the same time.
    """
    Pool.objects.update(offer_mode="broadcast", broadcast_to=2)
    alone(house)
    workers = [worker_in(house.pool, capacity=2) for _ in range(2)]
    house.task(), house.task()
    queue_created()
    assert match_queued() == 2
    Worker.objects.update(missed_in_row=1)
    own = [
        Offer.objects.get(task=task, worker=worker)
        for task, (worker, _) in zip(Task.objects.order_by("id"), workers, strict=True)
    ]
    others = Offer.objects.exclude(id__in=[offer.id for offer in own])
    timers = Timer.objects.filter(subject_id__in=others.values("id")).order_by("id")

    def acceptance(offer: Offer, by: Caller) -> Callable[[], Any]:
        actor = by.principal
        return lambda: accept_offer(actor=actor, offer_id=offer.id, at=clock.now())

    calls = [acceptance(offer, caller) for offer, (_, caller) in zip(own, workers, strict=True)]
    with ThreadPoolExecutor(2) as threads:
        with transaction.atomic():
            list(timers.select_for_update())
            under_way = [threads.submit(_run, call) for call in calls]
            _wait_for(2)
        for one in under_way:
            one.result(timeout=10)
    assert (
        list(Worker.objects.filter(load__gt=0).values_list("load", "missed_in_row")) == [(1, 0)] * 2
    )


def _nobody_at() -> list[Any]:
    return list(Requirement.objects.values_list("nobody_at", flat=True))


def _is_before(one: Worker, other: Worker) -> bool:
    """Else the test would show nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        (mine,) = cursor.fetchone()
    (opened_in,) = other.memberships.values_list("opened_in", flat=True)
    return int(mine) == one.memberships.get().opened_in < int(opened_in)


# --- what opens in the midst of a turn ------------------------------------------------------------


def test_a_seat__that_opens_after_it_was_compared_goes_to_whoever_is_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier task is parked; a later one of other demands is looked at in the turn in which the seat
    opens. Neither may have it before it was compared with what is parked.
    """
    Worker.objects.update(skills=["phone", "typing"], presence=Presence.AWAY)
    earlier = house.queued(requirements={"skills": ["phone"]})
    assert match_queued() == 0
    later = house.queued(requirements={"skills": ["typing"]})
    looked = matching._waiting

    def opening_meanwhile(*args: Any) -> Any:
        monkeypatch.setattr(matching, "_waiting", looked)
        together(lambda: Worker.objects.update(presence=Presence.AVAILABLE))
        return looked(*args)

    monkeypatch.setattr(matching, "_waiting", opening_meanwhile)
    assert match_queued() == 0
    assert match_queued() == 1
    assert (asked(earlier), asked(later)) == ({house.bobs_worker.id}, set())


def test_a_task__that_was_left_out_is_looked_at_when_a_seat_opens_for_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who fits it is held in the first turn of a call; another one comes free before the second."""
    free, _ = worker_in(house.pool, skills=["phone"], presence=Presence.AWAY)
    Worker.objects.filter(id=house.bobs_worker.id).update(skills=["phone"])
    first = house.queued(requirements={"skills": ["phone"]})
    turn, turns_taken = matching._turn, []

    def with_an_opening(batch: Any, at: Any) -> Any:
        turns_taken.append(batch)
        if len(turns_taken) == 2:
            together(lambda: Worker.objects.filter(id=free.id).update(presence=Presence.AVAILABLE))
        return turn(batch, at)

    monkeypatch.setattr(matching, "_turn", with_an_opening)
    with ThreadPoolExecutor(1) as thread, transaction.atomic():
        Worker.objects.select_for_update().get(id=house.bobs_worker.id)
        assert thread.submit(_run, match_queued).result(timeout=20) == 1
    assert asked(first) == {free.id}
