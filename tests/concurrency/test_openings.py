"""Seats that open while others look: none is missed, whichever transaction commits first."""

from typing import Any

import pytest
from django.db import connection, transaction

from apps.matching.services import match_queued
from apps.pools.models import Pool, Presence, Worker
from apps.tasks.models import Requirement
from apps.tasks.services import queue_created
from tests.concurrency.together import together
from tests.factories import House, worker_in
from tests.integration.asking import asked


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
    """It opened, and has less room than the task takes: to look once is enough."""
    Pool.objects.update(costs={"verification": 2})
    house.queued(requirements={"skills": ["phone"]})
    assert match_queued() == 0
    with transaction.atomic():
        Pool.objects.filter(id=house.strangers_pool.id).update(description="a long one")
        together(lambda: worker_in(house.pool, skills=["phone"]))
        looks = [together(match_queued)[0], _nobody_at(), together(match_queued)[0], _nobody_at()]
    assert looks == [0, looks[1], 0, looks[1]]


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


def _nobody_at() -> list[Any]:
    return list(Requirement.objects.values_list("nobody_at", flat=True))


def _is_before(one: Worker, other: Worker) -> bool:
    """Else the test would show nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        (mine,) = cursor.fetchone()
    (opened_in,) = other.memberships.values_list("opened_in", flat=True)
    return int(mine) == one.memberships.get().opened_in < int(opened_in)
