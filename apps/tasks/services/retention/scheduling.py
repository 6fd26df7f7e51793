"""Schedule purges: by the timer of a closed task, and again when a default becomes shorter.

A task is due `retain_days` after it closed: its own, else its organisation's. The transition that
closes it sets a timer (`changes.retention_timer`), and reopening it deletes the timer. When it
fires, it looks again: a default that has become longer postpones it.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection

from apps.base.rows import write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.tasks.changes import RETENTION, UNTIL
from apps.tasks.models import RetentionChange, Task
from apps.timers.changes import timer_upsert

BATCH = 500

QUEUE_DUE = f"""
WITH closed AS (
    SELECT t.id, t.organisation_id, {UNTIL} AS due_at
    FROM tasks_task t JOIN accounts_organisation o ON o.id = t.organisation_id
    WHERE t.id = ANY(%(ids)s) AND t.closed_at IS NOT NULL AND t.purged_at IS NULL
), queued AS (
    INSERT INTO tasks_purge (task_id, organisation_id, due_at)
    SELECT id, organisation_id, %(at)s FROM closed WHERE due_at <= %(at)s
    ORDER BY id ON CONFLICT DO NOTHING
)
SELECT id, due_at FROM closed WHERE due_at > %(at)s
"""


def queue_purges(*, task_ids: Sequence[UUID], at: datetime) -> dict[UUID, datetime | None]:
    """Handle the timers of tasks: queue what is due. Return when each timer is due again, or None.

    Nothing is locked: the purge looks again.
    """
    later = _queue_due(task_ids, at)
    wake("retention")
    return {task_id: later.get(task_id) for task_id in task_ids}


def _queue_due(task_ids: Sequence[UUID], at: datetime) -> dict[UUID, datetime]:
    """Queue those of the tasks that are due. Return when the others are."""
    with connection.cursor() as cursor:
        cursor.execute(QUEUE_DUE, {"ids": list(task_ids), "at": at})
        return dict(cursor.fetchall())


@atomic()
def schedule_again(*, at: datetime) -> int:
    """Set the times of a batch of one organisation's tasks again. Return how many it looked at."""
    changes = RetentionChange.objects.select_for_update(no_key=True, skip_locked=True)
    change = changes.filter(requested_at__lte=at).order_by("requested_at").first()
    if change is None:
        return 0
    tasks = Task.objects.filter(
        organisation_id=change.organisation_id, closed_at__isnull=False, purged_at=None
    )
    if change.after_id is not None:
        tasks = tasks.filter(id__gt=change.after_id)
    ids = list(tasks.order_by("id").values_list("id", flat=True)[:BATCH])
    later = _queue_due(ids, at)
    write(
        timer_upsert(
            organisation_id=change.organisation_id,
            kind=RETENTION,
            subject_id=task_id,
            due_at=due_at,
        )
        for task_id, due_at in later.items()
    )
    if len(ids) < BATCH:
        change.delete()
    else:
        change.after_id = ids[-1]
        change.save(update_fields=["after_id"])
    return max(len(ids), 1)
