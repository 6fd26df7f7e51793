"""Seats that open while others look: none is missed, whichever transaction commits first."""

from django.db import connection, transaction

from apps.matching.services import match_queued
from apps.pools.models import Presence, Worker
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


def _is_before(one: Worker, other: Worker) -> bool:
    """Else the test would show nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        (mine,) = cursor.fetchone()
    (opened_in,) = other.memberships.values_list("opened_in", flat=True)
    return int(mine) == one.memberships.get().opened_in < int(opened_in)
