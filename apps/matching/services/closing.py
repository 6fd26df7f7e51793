"""What becomes of the tasks that waited for a pool that was closed."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from apps.accounts import principal
from apps.base.transactions import atomic
from apps.matching.escalation import ESCALATION
from apps.tasks import services as tasks
from apps.tasks.models import Task

POOL_CLOSED = "pool_closed"
"""Why such a task failed."""

BATCH = 100
LOOKS_AGAIN = timedelta(seconds=30)
"""Tasks that are offered or held may come back to the queue."""

NO_POOL_LEFT = """
FROM pools_pool closed
JOIN tasks_requirement r ON r.organisation_id = closed.organisation_id AND closed.id = ANY (r.pool_ids)
    AND NOT EXISTS (SELECT FROM pools_pool p WHERE p.id = ANY (r.pool_ids) AND p.status = 'active')
JOIN tasks_task t ON t.requirement_id = r.id AND t.closed_at IS NULL
WHERE closed.id = %(pool)s
"""
"""The open tasks that no pool is left for."""

STRANDED = f"""
SELECT t.id {NO_POOL_LEFT} AND t.status = 'queued' AND NOT EXISTS (
    SELECT FROM timers_timer step WHERE step.subject_id = t.id AND step.kind = '{ESCALATION}')
ORDER BY t.id LIMIT {BATCH}
"""
"""Those of them that wait, and that no step of an escalation policy may open to another pool."""

MAY_COME_BACK = f"SELECT EXISTS (SELECT {NO_POOL_LEFT})"


@atomic()
def fail_stranded(*, pool_id: UUID, at: datetime) -> datetime | None:
    """The timer of a closed pool: fail the tasks that no pool is left for. Return when to look again, None
    when no open task is left of them.
    """
    given = {"pool": pool_id}
    with connection.cursor() as cursor:
        cursor.execute(STRANDED, given)
        ids = [row[0] for row in cursor.fetchall()]
    for task in (
        Task.objects.passing_over_locked().filter(id__in=ids, status="queued").order_by("id")
    ):
        actor = principal.system("matcher", task.organisation_id)
        tasks.fail_task(task=task, actor=actor, reason=POOL_CLOSED, at=at)
    if len(ids) == BATCH:
        return at
    with connection.cursor() as cursor:
        cursor.execute(MAY_COME_BACK, given)
        (is_left,) = cursor.fetchone()
    return at + LOOKS_AGAIN if is_left else None
