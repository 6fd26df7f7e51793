"""What becomes of the tasks that waited for a pool that was closed."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from apps.accounts import principal
from apps.base import clock, rows
from apps.base.transactions import atomic
from apps.matching.escalation import ESCALATION
from apps.pools.changes import POOL_CLOSED
from apps.tasks import services as tasks
from apps.tasks.models import Task
from apps.timers.changes import timer_upsert

STRANDED_REASON = "pool_closed"
"""Why such a task failed."""

BATCH = 100
LOOKS_AGAIN = timedelta(seconds=30)
"""Tasks that are offered or held may come back to the queue."""

NO_POOL_LEFT = """
FROM pools_pool closed
JOIN tasks_requirement r ON r.organisation_id = closed.organisation_id AND closed.id = ANY (r.pool_ids)
    AND NOT EXISTS (SELECT FROM pools_pool p WHERE p.id = ANY (r.pool_ids) AND p.status = 'active')
JOIN tasks_task t ON t.requirement_id = r.id AND t.closed_at IS NULL
WHERE closed.id = {pool}
"""
"""The open tasks that no pool is left for."""

STRANDED = f"""
SELECT t.id {NO_POOL_LEFT.format(pool="%(pool)s")} AND t.status = 'queued' AND NOT EXISTS (
    SELECT FROM timers_timer step WHERE step.subject_id = t.id AND step.kind = '{ESCALATION}')
ORDER BY t.id LIMIT {BATCH} FOR NO KEY UPDATE OF t SKIP LOCKED
"""
"""Those of them that wait, and that no step of an escalation policy may open to another pool; locked."""

MAY_COME_BACK = f"SELECT EXISTS (SELECT {NO_POOL_LEFT.format(pool='%(pool)s')})"

FORGOTTEN = f"""
SELECT p.organisation_id, p.id FROM pools_pool p
WHERE p.status = 'closed' AND EXISTS (SELECT {NO_POOL_LEFT.format(pool="p.id")})
    AND NOT EXISTS (SELECT FROM timers_timer t WHERE t.subject_id = p.id AND t.kind = '{POOL_CLOSED}')
"""


@atomic()
def fail_stranded(*, pool_id: UUID, at: datetime) -> datetime | None:
    """The timer of a closed pool: fail the tasks that no pool is left for. Return when to look again, None
    when no open task is left of them.
    """
    given = {"pool": pool_id}
    with connection.cursor() as cursor:
        cursor.execute(STRANDED, given)
        ids = [row[0] for row in cursor.fetchall()]
    for task in Task.objects.filter(id__in=ids).order_by("id"):
        actor = principal.system("matcher", task.organisation_id)
        tasks.fail_task(task=task, actor=actor, reason=STRANDED_REASON, at=at)
    if len(ids) == BATCH:
        return at
    with connection.cursor() as cursor:
        cursor.execute(MAY_COME_BACK, given)
        (is_left,) = cursor.fetchone()
    return at + LOOKS_AGAIN if is_left else None


def look_for_stranded() -> int:
    """Set the timers of closed pools whose tasks came after their last: reopened ones, those that were
    posted while the pool was closed, and all that were closed before there was such a timer. Return how
    many.
    """
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(FORGOTTEN)
        found = cursor.fetchall()
    rows.write(
        timer_upsert(
            organisation_id=organisation_id, kind=POOL_CLOSED, subject_id=pool_id, due_at=now
        )
        for organisation_id, pool_id in found
    )
    return len(found)
