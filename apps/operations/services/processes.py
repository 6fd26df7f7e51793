"""Write and delete the rows of processes, by one statement each, with the database's clock."""

from typing import Any
from uuid import UUID

from django.db import connection

from apps.operations.models import Process

BEAT = """
INSERT INTO operations_process AS known
    (id, name, host, pid, version, started_at, seen_at, last_drain, last_drain_at)
VALUES (%(id)s, %(name)s, %(host)s, %(pid)s, %(version)s,
    clock_timestamp() - make_interval(secs => %(running_for)s), clock_timestamp(), %(last_drain)s,
    clock_timestamp() - make_interval(secs => %(drained_ago)s))
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, last_drain = excluded.last_drain,
    last_drain_at = excluded.last_drain_at
"""

DELETE_DEAD = "DELETE FROM operations_process WHERE seen_at < clock_timestamp() - interval '10 min'"


def record_process(
    *,
    process_id: UUID,
    name: str,
    host: str,
    pid: int,
    version: str,
    running_for: float,
    last_drain: str,
    drained_ago: float | None,
) -> None:
    """Write that a process runs.

    `running_for` are the seconds since its start, `drained_ago` those since its last drain, None
    for none.
    """
    values: dict[str, Any] = {
        "id": process_id,
        "name": name[:100],
        "host": host[:255],
        "pid": pid,
        "version": version,
        "running_for": running_for,
        "last_drain": last_drain,
        "drained_ago": drained_ago,
    }
    with connection.cursor() as cursor:
        cursor.execute(BEAT, values)


def forget_process(*, process_id: UUID) -> None:
    """Delete the row of a process that stops."""
    Process.objects.filter(id=process_id).delete()


def delete_dead_processes() -> None:
    """Delete the rows of processes that have not been seen for ten minutes."""
    with connection.cursor() as cursor:
        cursor.execute(DELETE_DEAD)
