"""Delete what workers wrote about tasks that are purged."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection

from apps.base.erasure import Finding
from apps.tasks.services import kept_reasons

PURGE = "UPDATE matching_offer SET reason = '' WHERE task_id = ANY(%s) AND reason <> ''"


def purge_offers(task_ids: Sequence[UUID]) -> Collection[UUID]:
    """Delete the reasons of declined offers. Return no task: a closed task's offers are not locked.

    Who was offered what, when, and the figures of the ranking stay.
    """
    with connection.cursor() as cursor:
        cursor.execute(PURGE, [list(task_ids)])
    return []


# Those that the deletion of the task's content would spare are spared here, too.
OF_WORKER = """
SELECT DISTINCT f.task_id FROM matching_offer f
WHERE f.organisation_id = %s AND f.worker_id = %s AND f.reason <> ''
"""
ERASE = "UPDATE matching_offer SET reason = '' WHERE task_id = ANY(%s) AND worker_id = %s"


def erase_reasons(
    *, organisation_id: UUID, worker_id: UUID, apply: bool, at: datetime
) -> Iterator[Finding]:
    """Delete the reasons for which a worker declined offers. Yield what was found."""
    with connection.cursor() as cursor:
        cursor.execute(OF_WORKER, [organisation_id, worker_id])
        found = {task_id: "" for (task_id,) in cursor.fetchall()}
    found |= kept_reasons(task_ids=[*found], at=at)
    for reason, count in sorted(Counter(found.values()).items()):
        yield Finding("declined offers with the worker's reason", count, reason)
    free = [task_id for task_id, reason in found.items() if not reason]
    if apply and free:
        with connection.cursor() as cursor:
            cursor.execute(ERASE, [free, worker_id])
