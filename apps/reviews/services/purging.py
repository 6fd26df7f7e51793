"""Delete what reviewers and workers wrote in reviews and appeals of tasks that are purged."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.base import clock
from apps.base.erasure import Finding
from apps.tasks.services import kept_reasons

PURGE = """
UPDATE reviews_review SET reason = '', pointers = '[]'
WHERE task_id = ANY(%s) AND (reason <> '' OR pointers <> '[]')
"""
# Without its output and its words no manager could decide on an open one.
PURGE_APPEALS = """
UPDATE reviews_appeal a SET reason = '', decision_reason = '',
    status = CASE a.status WHEN 'open' THEN 'expired' ELSE a.status END,
    version = a.version + (a.status = 'open')::int,
    decided_by = CASE a.status WHEN 'open' THEN 'system:retention' ELSE a.decided_by END,
    decided_at = coalesce(a.decided_at, %s)
FROM reviews_review r WHERE r.id = a.review_id AND r.task_id = ANY(%s)
"""
PURGE_SECOND_LOOKS = """
UPDATE reviews_secondlook l SET reason = '',
    status = CASE l.status WHEN 'waiting' THEN 'expired' ELSE l.status END,
    decided_by = CASE l.status WHEN 'waiting' THEN 'system:retention' ELSE l.decided_by END,
    decided_at = coalesce(l.decided_at, %s)
FROM reviews_review r WHERE r.id = l.review_id AND r.task_id = ANY(%s)
"""


def purge_reviews(task_ids: Sequence[UUID]) -> Collection[UUID]:
    """Delete the words of reviewers and appeals, close open appeals and second looks.

    Return no task: these rows of a closed task are locked after the task only. Who
    decided what, when, and the ratings stay.
    """
    with connection.cursor() as cursor:
        cursor.execute(PURGE, [list(task_ids)])
        for closing in (PURGE_APPEALS, PURGE_SECOND_LOOKS):
            cursor.execute(closing, [clock.now(), list(task_ids)])
    return []


OF_WORKER = """
SELECT r.task_id FROM reviews_review r WHERE r.organisation_id = %(organisation_id)s
    AND r.reviewer_worker_id = %(worker_id)s AND (r.reason <> '' OR r.pointers <> '[]')
UNION SELECT r.task_id FROM reviews_appeal a JOIN reviews_review r ON r.id = a.review_id
WHERE a.organisation_id = %(organisation_id)s
    AND a.worker_id = %(worker_id)s AND a.reason <> ''
UNION SELECT r.task_id FROM reviews_appeal a JOIN reviews_review r ON r.id = a.review_id
WHERE a.organisation_id = %(organisation_id)s
    AND a.decider_worker_id = %(worker_id)s AND a.decision_reason <> ''
UNION SELECT r.task_id FROM reviews_secondlook l JOIN reviews_review r ON r.id = l.review_id
WHERE l.organisation_id = %(organisation_id)s
    AND l.decider_worker_id = %(worker_id)s AND l.reason <> ''
"""
ERASE = """
UPDATE reviews_review SET reason = '', pointers = '[]'
WHERE task_id = ANY(%(task_ids)s) AND reviewer_worker_id = %(worker_id)s
"""
ERASE_APPEALS = """
UPDATE reviews_appeal a SET
    reason = CASE a.worker_id WHEN %(worker_id)s THEN '' ELSE a.reason END,
    decision_reason =
        CASE a.decider_worker_id WHEN %(worker_id)s THEN '' ELSE a.decision_reason END
FROM reviews_review r WHERE r.id = a.review_id AND r.task_id = ANY(%(task_ids)s)
    AND %(worker_id)s IN (a.worker_id, a.decider_worker_id)
"""
ERASE_SECOND_LOOKS = """
UPDATE reviews_secondlook l SET reason = '' FROM reviews_review r
WHERE r.id = l.review_id AND r.task_id = ANY(%(task_ids)s) AND l.decider_worker_id = %(worker_id)s
"""


def erase_review_words(
    *, organisation_id: UUID, worker_id: UUID, apply: bool, at: datetime
) -> Iterator[Finding]:
    """Delete what a worker wrote in reviews and appeals. Yield what was found."""
    with connection.cursor() as cursor:
        found_for: dict[str, Any] = {"organisation_id": organisation_id, "worker_id": worker_id}
        cursor.execute(OF_WORKER, found_for)
        found = {task_id: "" for (task_id,) in cursor.fetchall()}
    found |= kept_reasons(task_ids=[*found], at=at)
    for reason, count in sorted(Counter(found.values()).items()):
        yield Finding("reviews with the worker's words", count, reason)
    free = [task_id for task_id, reason in found.items() if not reason]
    if apply and free:
        with connection.cursor() as cursor:
            freed: dict[str, Any] = {"task_ids": free, "worker_id": worker_id}
            for erasure in (ERASE, ERASE_APPEALS, ERASE_SECOND_LOOKS):
                cursor.execute(erasure, freed)
