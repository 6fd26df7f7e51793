"""Match a batch as far as possible, where rows are locked or a task is at fault.

1. Match the batch. A transaction that lost a deadlock is tried again.
2. Where a row that it needs stays locked, match it once more and leave parked requirements alone
   whose rows are locked.
3. Where it fails, match its tasks one by one: a bad task holds up neither the rest of its
   organisation nor another. The requirement of a bad task is postponed.
"""

import logging
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import OperationalError

from apps.base import clock
from apps.base.drains import Postponed, Row, handle_each
from apps.base.transactions import is_timeout, raise_if_disconnected, retry_races
from apps.matching.services.batch_transaction import (
    BatchResult,
    BatchScope,
    first_tasks,
    match_batch,
    postpone,
)

logger = logging.getLogger(__name__)


def match_what_can_be(scope: BatchScope, at: datetime | None) -> BatchResult:
    """Match a batch as far as possible.

    Raise only where the database is gone: what is wrong with one organisation must not stop
    another.
    """
    busy = BatchResult(exclusions=scope.exclusions, is_busy=True)
    skipping = replace(scope, skip_locked=True)
    try:
        try:
            return _unless_locked(scope, at) or _unless_locked(skipping, at) or busy
        except Exception as error:
            raise_if_disconnected(error)
            logger.exception(
                "a batch of %s failed; its tasks are matched one by one", scope.organisation_id
            )
            return _match_one_by_one(skipping, at or clock.now())
    except Exception as error:
        raise_if_disconnected(error)
        if not is_timeout(error):
            logger.exception("%s cannot be matched", scope.organisation_id)
        return busy


def _unless_locked(scope: BatchScope, at: datetime | None) -> BatchResult | None:
    """Match a batch. Return None where a row that it needs stays locked."""
    try:
        return retry_races(lambda: match_batch(scope, at))
    except OperationalError as error:
        if not is_timeout(error):
            raise
        return None


def _match_one_by_one(scope: BatchScope, at: datetime) -> BatchResult:
    queued = retry_races(lambda: first_tasks(scope, at))
    results: dict[UUID, BatchResult] = {}

    def match_one(task_id: UUID) -> bool:
        result = retry_races(lambda: match_batch(replace(scope, task_id=task_id), at))
        results[task_id] = result
        return result.offered > 0

    rows = [Row(task.task_id, scope.organisation_id) for task in queued]
    offered = handle_each(rows, match_one, postponed=Postponed())
    failed = {task.requirement_id for task in queued if task.task_id not in results}
    postpone(scope, failed, at=at, offered=offered)
    exclusions = scope.exclusions
    for result in results.values():
        exclusions = exclusions.plus(result.exclusions.tasks, result.exclusions.workers)
    return BatchResult(offered, frozenset(failed), exclusions, has_more=True)
