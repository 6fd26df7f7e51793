"""Fail the tasks that no open pool is left for, after a pool was closed."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from apps.accounts import principal
from apps.base import clock, rows
from apps.base.transactions import atomic
from apps.matching.changes import ESCALATION
from apps.pools.changes import POOL_CLOSED
from apps.tasks import services as tasks
from apps.tasks.models import Task
from apps.timers.changes import timer_upsert

STRANDED_REASON = "pool_closed"
"""Why such a task failed."""

BATCH = 100
AGAIN_AFTER = timedelta(seconds=30)
"""Tasks that are offered, or that a worker has, may be queued again."""

WITHOUT_POOL = """
FROM pools_pool closed
JOIN tasks_requirement r
    ON r.organisation_id = closed.organisation_id AND closed.id = ANY (r.pool_ids)
    AND NOT EXISTS (SELECT FROM pools_pool p WHERE p.id = ANY (r.pool_ids) AND p.status = 'active')
JOIN tasks_task t ON t.requirement_id = r.id AND t.closed_at IS NULL
WHERE closed.id = {pool_id}
"""
"""The open tasks that no pool is left for."""

STRANDED = f"""
SELECT t.id {WITHOUT_POOL.format(pool_id="%(pool_id)s")} AND t.status = 'queued' AND NOT EXISTS (
    SELECT FROM timers_timer step WHERE step.subject_id = t.id AND step.kind = '{ESCALATION}')
ORDER BY t.id LIMIT {BATCH} FOR NO KEY UPDATE OF t SKIP LOCKED
"""
"""Of these the queued ones that no escalation step may open to another pool; locked."""

MAY_BE_QUEUED_AGAIN = f"SELECT EXISTS (SELECT {WITHOUT_POOL.format(pool_id='%(pool_id)s')})"

POOLS_WITHOUT_TIMER = f"""
SELECT p.organisation_id, p.id FROM pools_pool p
WHERE p.status = 'closed' AND EXISTS (SELECT {WITHOUT_POOL.format(pool_id="p.id")}) AND NOT EXISTS (
    SELECT FROM timers_timer t WHERE t.subject_id = p.id AND t.kind = '{POOL_CLOSED}')
"""


@atomic()
def fail_stranded_tasks(*, pool_id: UUID, at: datetime) -> datetime | None:
    """Fail the queued tasks that no pool is left for, as the timer of a closed pool does.

    Return when the timer is due again; None: no open task is left that may be queued again.
    """
    params = {"pool_id": pool_id}
    with connection.cursor() as cursor:
        cursor.execute(STRANDED, params)
        ids = [row[0] for row in cursor.fetchall()]
    for task in Task.objects.filter(id__in=ids).order_by("id"):
        actor = principal.system("matcher", task.organisation_id)
        tasks.fail_task(task=task, actor=actor, reason=STRANDED_REASON, at=at)
    if len(ids) == BATCH:
        return at
    with connection.cursor() as cursor:
        cursor.execute(MAY_BE_QUEUED_AGAIN, params)
        (is_left,) = cursor.fetchone()
    return at + AGAIN_AFTER if is_left else None


def schedule_stranded_checks() -> int:
    """Set the timers of closed pools whose tasks came after their last timer. Return how many.

    These are reopened tasks, tasks that were posted while the pool was closed, and those of pools
    that were closed before there was such a timer.
    """
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(POOLS_WITHOUT_TIMER)
        pools = cursor.fetchall()
    rows.write(
        timer_upsert(
            organisation_id=organisation_id, kind=POOL_CLOSED, subject_id=pool_id, due_at=now
        )
        for organisation_id, pool_id in pools
    )
    return len(pools)
