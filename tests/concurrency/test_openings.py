"""Open memberships while the matcher runs: none is missed, whichever transaction commits first."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from apps.base import clock
from apps.matching import task_queue
from apps.matching.models import Offer, ParkedRequirement
from apps.matching.services import accept_offer, batch_fallback, match_queued
from apps.pools import services as pool_services
from apps.pools.models import Pool, Presence, Worker
from apps.pools.services import locks, provision_pool
from apps.tasks.models import Task
from apps.tasks.services import queue_created
from apps.timers.models import Timer
from tests.concurrency.together import _run, _wait_for, together
from tests.factories import Caller, House, worker_in
from tests.integration.matching_steps import bob_is_offline, offered_to


def test_a_membership__that_opened_in_an_older_transaction_is_compared_when_that_commits(
    house: House,
) -> None:
    """The long transaction began first, and ends after another opening was compared."""
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
    assert offered_to(task) == {long_gone.id}


def test_a_membership__is_compared_once_however_long_another_transaction_runs(house: House) -> None:
    """It opened, and has less capacity than the task takes: one comparison is enough."""
    Pool.objects.update(costs={"verification": 2})
    house.queued(requirements={"skills": ["phone"]})
    assert match_queued() == 0
    (parked_at,) = _parked_at()
    with transaction.atomic():
        Pool.objects.filter(id=house.strangers_pool.id).update(description="a long one")
        together(lambda: worker_in(house.pool, skills=["phone"]))
        assert together(match_queued) == [0]
        (compared_at,) = _parked_at()
        assert together(match_queued) == [0]
        (compared_again_at,) = _parked_at()
    assert parked_at < compared_at
    assert compared_again_at == compared_at


@pytest.mark.parametrize("broadcast_to", [None, 2])
def test_a_task__whose_worker_is_locked_is_not_overtaken(
    house: House, broadcast_to: int | None
) -> None:
    """Both workers fit both tasks: the earlier one gets the free worker, the later one waits."""
    if broadcast_to is not None:
        Pool.objects.update(offer_mode="broadcast", broadcast_to=broadcast_to)
    other, _ = worker_in(house.pool)
    earlier, later = house.task(), house.task()
    queue_created()
    for held, free in ((house.bobs_worker, other), (other, house.bobs_worker)):
        with transaction.atomic():
            Worker.objects.select_for_update().get(id=held.id)
            assert together(match_queued) == [1]
        assert (offered_to(earlier), offered_to(later)) == ({free.id}, set())
        assert match_queued() == 1
        assert offered_to(later) == {held.id}
        earlier, later = house.task(), house.task()
        queue_created()
        Worker.objects.update(load=0)


def test_a_task__whose_best_worker_is_locked_goes_to_the_next_best(house: House) -> None:
    longest, _ = worker_in(house.pool)
    since = clock.now() - timedelta(days=1)
    Worker.objects.filter(id=longest.id).update(waiting_since=since)
    task = house.queued()
    with transaction.atomic():
        Worker.objects.select_for_update().get(id=longest.id)
        assert together(match_queued) == [1]
    assert offered_to(task) == {house.bobs_worker.id}


def test_a_task__whose_worker_was_locked_for_one_batch_is_not_overtaken_in_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is gone before the second batch of the same call, which has the later task."""
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

    monkeypatch.setattr(pool_services, "lock_workers_with_capacity", lock)
    assert match_queued(max_batch=1) == 0
    assert match_queued(max_batch=1) == 1
    assert (offered_to(earlier), offered_to(later)) == ({house.bobs_worker.id}, set())


def test_a_worker__who_was_locked_without_an_offer_is_as_free_as_before(house: House) -> None:
    """The task is for two workers, of whom one is locked: the other gets it in the same batch."""
    Pool.objects.update(offer_mode="broadcast", broadcast_to=2)
    held, _ = worker_in(house.pool)
    task = house.queued()
    opened_in = house.bobs_worker.memberships.get().opened_in
    with transaction.atomic():
        Worker.objects.select_for_update().get(id=held.id)
        assert together(match_queued) == [1]
    assert offered_to(task) == {house.bobs_worker.id}
    assert house.bobs_worker.memberships.get().opened_in == opened_in


@pytest.mark.parametrize("held", ["worker", "tasks"])
def test_tasks__that_are_held_up_hold_up_none_behind_them(house: House, held: str) -> None:
    """A whole batch is for one worker, who is locked, or whose tasks are."""
    other = provision_pool(organisation_id=house.organisation.id, name="Other")
    worker, _ = worker_in(other)
    ahead = [house.queued(requirements={"worker_pool_id": str(house.pool.id)}) for _ in range(4)]
    behind = house.queued(requirements={"worker_pool_id": str(other.id)})
    with transaction.atomic():
        if held == "worker":
            Worker.objects.select_for_update().get(id=house.bobs_worker.id)
        else:
            list(Task.objects.select_for_update().filter(id__in=[one.id for one in ahead]))
        assert together(partial(match_queued, max_batch=2)) == [1]
    assert offered_to(behind) == {worker.id}
    assert match_queued(max_batch=2) == 1
    assert offered_to(ahead[0]) == {house.bobs_worker.id}


def test_two_tasks_before_the_same_workers__may_be_accepted_at_once(house: House) -> None:
    """Each acceptance changes both workers: in different orders they would wait in a circle. Timers
    are locked so that both are under way at the same time.
    """
    Pool.objects.update(offer_mode="broadcast", broadcast_to=2)
    bob_is_offline(house)
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


def _parked_at() -> list[Any]:
    return list(ParkedRequirement.objects.values_list("parked_at", flat=True))


def _is_before(one: Worker, other: Worker) -> bool:
    """Return whether one opened before the other: otherwise the test would show nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        (mine,) = cursor.fetchone()
    (opened_in,) = other.memberships.values_list("opened_in", flat=True)
    return int(mine) == one.memberships.get().opened_in < int(opened_in)


# --- memberships that open during a batch ---------------------------------------------------------


def test_a_membership__that_opens_after_the_comparison_goes_to_the_earliest_task(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier task is parked; a later one with another requirement is in the batch during which
    the membership opens. Neither may have it before it was compared with the parked requirements.
    """
    Worker.objects.update(skills=["phone", "typing"], presence=Presence.AWAY)
    earlier = house.queued(requirements={"skills": ["phone"]})
    assert match_queued() == 0
    later = house.queued(requirements={"skills": ["typing"]})
    read_queue = task_queue.queued_requirements

    def opening_meanwhile(**params: Any) -> Any:
        monkeypatch.setattr(task_queue, "queued_requirements", read_queue)
        together(lambda: Worker.objects.update(presence=Presence.AVAILABLE))
        return read_queue(**params)

    monkeypatch.setattr(task_queue, "queued_requirements", opening_meanwhile)
    assert match_queued() == 0
    assert match_queued() == 1
    assert (offered_to(earlier), offered_to(later)) == ({house.bobs_worker.id}, set())


def test_a_task__that_was_excluded_is_matched_when_a_membership_opens_for_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker is locked during the first batch of a call; another opens before the second."""
    free, _ = worker_in(house.pool, skills=["phone"], presence=Presence.AWAY)
    Worker.objects.filter(id=house.bobs_worker.id).update(skills=["phone"])
    first = house.queued(requirements={"skills": ["phone"]})
    match_batch, scopes = batch_fallback.match_batch, []

    def with_an_opening(scope: Any, at: Any) -> Any:
        scopes.append(scope)
        if len(scopes) == 2:
            together(lambda: Worker.objects.filter(id=free.id).update(presence=Presence.AVAILABLE))
        return match_batch(scope, at)

    monkeypatch.setattr(batch_fallback, "match_batch", with_an_opening)
    with ThreadPoolExecutor(1) as thread, transaction.atomic():
        Worker.objects.select_for_update().get(id=house.bobs_worker.id)
        assert thread.submit(_run, match_queued).result(timeout=20) == 1
    assert offered_to(first) == {free.id}
