"""Calls that run at the same time, each on a thread and a connection of its own."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections, transaction

Call = Callable[[], Any]
PATIENCE_SECONDS = 10.0


def together(*calls: Call) -> list[Any]:
    """Return what each call returns; all begin at once. An exception of any is raised here."""
    gate = threading.Barrier(len(calls))
    with ThreadPoolExecutor(len(calls)) as threads:
        futures = [threads.submit(_run, call, gate) for call in calls]
        return [future.result(timeout=60) for future in futures]


def _run(call: Call, gate: threading.Barrier | None = None) -> Any:
    try:
        if gate is not None:
            gate.wait(PATIENCE_SECONDS)
        return call()
    finally:
        connections.close_all()


@contextmanager
def queued_up(*calls: Call, behind: str, key: Any) -> Iterator[list["Future[Any]"]]:
    """Calls that wait, in this order, for one row that we hold locked until the block ends.

    `behind` is the row's table. PostgreSQL serves the waiters in their order, so the block's end
    decides the race: the first call goes first.
    """
    with ThreadPoolExecutor(max(1, len(calls))) as threads:
        futures: list[Future[Any]] = []
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT 1 FROM {behind} WHERE id = %s FOR UPDATE", [key])
            for call in calls:
                futures.append(threads.submit(_run, call))
                _wait_for(len(futures))
            yield futures


def _waiting() -> int:
    with connection.cursor() as cursor:
        # Not pg_stat_activity, which stands still within a transaction.
        cursor.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
        return int(cursor.fetchone()[0])


def _wait_for(calls: int) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while _waiting() < calls:
        assert time.monotonic() < ends, "the call did not come to wait for the row"
        time.sleep(0.01)
