"""Test a drain whose database fails while requests are under way: nothing is sent twice."""

import threading
import time
from collections.abc import Callable

from django.db import connection

from apps.base import clock
from apps.webhooks.models import Attempt
from apps.webhooks.services import deliver_due
from tests.concurrency.together import _run
from tests.destinations import counts, emit_many, endpoint
from tests.factories import House
from tests.receiver import Receiver, Reply

OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


def eventually(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_results__are_kept_until_the_database_is_back(house: House, receiver: Receiver) -> None:
    # Given three requests under way
    answers = threading.Event()
    receiver.reply = lambda _: Reply(204 if answers.wait(10) else 500)
    endpoint(house, f"{receiver.url}/hook")
    emit_many(house, subjects=3, each=1, at=clock.now())
    draining = threading.Thread(target=_run, args=(lambda: deliver_due(budget_seconds=None),))
    draining.start()
    try:
        eventually(lambda: len(receiver.received) == 3)
        # When the drain's connection is cut, and the responses arrive
        with connection.cursor() as cursor:
            cursor.execute(OTHERS)
            assert cursor.fetchone() == (1,)
    finally:
        answers.set()
        draining.join(timeout=10)
    # Then they are recorded, and nothing is sent again
    assert not draining.is_alive()
    assert counts() == {"succeeded": 3}
    assert Attempt.objects.count() == len(receiver.received) == 3
