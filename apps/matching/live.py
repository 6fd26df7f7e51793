"""Find out which workers new events concern, for the pages that they have open."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from apps.base.queries import load_query

CHANGES_FOR_WORKERS = load_query("apps.matching", "changes_for_workers")

MAX_READ = 5_000
"""Events that one reading looks at. Where there are more, every worker is told to look again."""


class WorkerChange(NamedTuple):
    """Name a worker, what changed for it (`offers`, `runs` or `messages`), and the task."""

    worker_id: UUID
    topic: str
    task_id: UUID


def changes_for_workers(
    *, organisation_id: UUID, since: int, until: int
) -> Sequence[WorkerChange] | None:
    """Return whom the organisation's events between two horizons concern; None: any worker.

    One statement, however many workers have a page open.
    """
    params: dict[str, Any] = {
        "organisation_id": organisation_id,
        "since": str(since),
        "until": str(until),
        "limit": MAX_READ,
    }
    with connection.cursor() as cursor:
        cursor.execute(CHANGES_FOR_WORKERS, params)
        rows = cursor.fetchall()
    if rows[0][0]:
        return None
    return [WorkerChange(*row[1:]) for row in rows if row[1] is not None]
