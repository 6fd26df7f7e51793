"""Delete what reviewers wrote about tasks that are purged, and close reviews without a verdict."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection

from apps.base.erasure import Finding
from apps.tasks.services import kept_reasons

PURGE = """
UPDATE reviews_review SET reason = '', pointers = '[]' WHERE task_id = ANY(%s) AND reason <> ''
"""


def purge_reviews(task_ids: Sequence[UUID]) -> Collection[UUID]:
    """Delete the words of reviewers. Return no task: no one locks a closed task's reviews.

    Who decided what, when, and the ratings stay.
    """
    with connection.cursor() as cursor:
        cursor.execute(PURGE, [list(task_ids)])
    return []


OF_WORKER = """
SELECT DISTINCT r.task_id FROM reviews_review r
WHERE r.organisation_id = %s AND r.reviewer_worker_id = %s AND r.reason <> ''
"""
ERASE = """
UPDATE reviews_review SET reason = '', pointers = '[]'
WHERE task_id = ANY(%s) AND reviewer_worker_id = %s
"""


def erase_review_words(
    *, organisation_id: UUID, worker_id: UUID, apply: bool, at: datetime
) -> Iterator[Finding]:
    """Delete what a worker wrote as a reviewer. Yield what was found."""
    with connection.cursor() as cursor:
        cursor.execute(OF_WORKER, [organisation_id, worker_id])
        found = {task_id: "" for (task_id,) in cursor.fetchall()}
    found |= kept_reasons(task_ids=[*found], at=at)
    for reason, count in sorted(Counter(found.values()).items()):
        yield Finding("reviews with the worker's words", count, reason)
    free = [task_id for task_id, reason in found.items() if not reason]
    if apply and free:
        with connection.cursor() as cursor:
            cursor.execute(ERASE, [free, worker_id])
