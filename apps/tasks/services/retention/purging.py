"""Purge tasks: delete their personal content, and keep ids, times, statuses and hashes.

1. A batch of the queue is one transaction: it locks the queue's rows and the tasks by SKIP LOCKED,
   looks again (reopened, held, not due after all), deletes, and removes the rows from the queue. A
   process that is killed leaves the rows, and the next one continues with them.
2. Other apps delete what they have of the tasks: the functions of `add_purger`, within that
   transaction. They wait for no row, and return the tasks of which a row was locked: these stay in
   the queue, and are not marked as purged.
3. The bytes of files are deleted after their rows say so: see `stored_files`.

The events of a task stay: they have no personal content besides notes, which their hashes do not
cover. So the chain still verifies.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import connection
from django.db.models import Q

from apps.base import clock
from apps.base.drains import Postponed, Row, handle_in_batches
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.events.services import erase_notes
from apps.tasks.changes import RETENTION, UNTIL
from apps.tasks.models import LegalHold, Purge, Task
from apps.tasks.services.retention.holds import LOCK_SHARED, RECHECK, lock_name
from apps.tasks.services.retention.scheduling import schedule_again
from apps.tasks.services.stored_files import purge_files
from apps.timers.changes import timer_upsert

# Tasks in one transaction: its locks are short, and a kill costs as many.
BATCH = 200
PER_PASS = 2_000
RETRY_LOCKED = timedelta(seconds=5)

# Deletes what an app has of some tasks. Returns those of which a row was locked elsewhere.
Purger = Callable[[Sequence[UUID]], Collection[UUID]]

_purgers: list[Purger] = []
_early_purgers: list[Purger] = []
_preparations: list[Callable[[datetime], object]] = []
_postponed = Postponed()


def add_purger(purger: Purger) -> None:
    """Register what another app deletes of a task. Called by config/wiring.py only."""
    _purgers.append(purger)


def add_early_purger(purger: Purger) -> None:
    """Register what is deleted besides, when a task is purged before its time.

    It may take long: at the end of the retention all of this is deleted already. Called by
    config/wiring.py only.
    """
    _early_purgers.append(purger)


def before_purges(preparation: Callable[[datetime], object]) -> None:
    """Register what a pass does first, in transactions of its own. By config/wiring.py only."""
    _preparations.append(preparation)


def purge_due(*, at: datetime | None = None) -> int:
    """Purge tasks that are due, up to `PER_PASS`. Return how many rows it handled.

    Schedule those of an organisation whose default became shorter first.
    """
    now = at or clock.now()
    scheduled = schedule_again(at=now)
    due = Purge.objects.filter(due_at__lte=now).order_by("due_at", "task_id")
    rows = [Row(*row) for row in due.values_list("task_id", "organisation_id")[:PER_PASS]]
    if not rows:
        return scheduled
    for prepare in _preparations:
        prepare(now)
    purge = partial(_purge_queued, at=now)
    return scheduled + handle_in_batches(rows, purge, size=BATCH, postponed=_postponed)


def purge_tasks_now(*, task_ids: Collection[UUID], at: datetime) -> int:
    """Purge closed tasks before the end of their retention, on behalf of a person. Return how many.

    What must be kept longer is the caller's to exclude; a legal hold always counts. Each batch is a
    transaction of its own. Tasks that are locked elsewhere are left in the queue.
    """
    ids, purged = sorted(task_ids), 0
    for prepare in _preparations:
        prepare(at)
    for first in range(0, len(ids), BATCH):
        purged += _purge_before_its_time(ids[first : first + BATCH], at)
    return purged


@atomic()
def _purge_before_its_time(task_ids: Sequence[UUID], at: datetime) -> int:
    tasks = _lock(task_ids)
    purged = _purge_unheld([task for task in tasks if _has_content(task)], at)
    for purger in _early_purgers:
        purger(sorted(purged))
    Purge.objects.filter(task_id__in=purged).delete()
    return len(purged)


@atomic()
def _purge_queued(task_ids: Sequence[UUID], *, at: datetime) -> int:
    queue = Purge.objects.select_for_update(skip_locked=True, of=("self",))
    queued = queue.filter(task_id__in=task_ids, due_at__lte=at).order_by("task_id")
    ids = list(queued.values_list("task_id", flat=True))
    tasks = _lock(ids)
    later = _due_later(tasks, at)
    due = [task for task in tasks if _has_content(task) and task.id not in later]
    done = {task.id for task in tasks} - {task.id for task in due}
    done |= _purge_unheld(due, at)
    Purge.objects.filter(task_id__in=done).delete()
    Purge.objects.filter(task_id__in={*ids} - done).update(due_at=at + RETRY_LOCKED)
    _set_timers(tasks, later)
    return len(done)


def _lock(task_ids: Sequence[UUID]) -> list[Task]:
    rows = Task.objects.filter(id__in=task_ids).order_by("id").locked_skip_locked()
    return list(rows.only("id", "organisation_id", "closed_at", "purged_at"))


def _has_content(task: Task) -> bool:
    return task.closed_at is not None and task.purged_at is None


LATER = f"""
SELECT t.id, {UNTIL} FROM tasks_task t JOIN accounts_organisation o ON o.id = t.organisation_id
WHERE t.id = ANY(%s) AND t.closed_at IS NOT NULL AND t.purged_at IS NULL AND {UNTIL} > %s
"""


def _due_later(tasks: Sequence[Task], at: datetime) -> dict[UUID, datetime]:
    """Return when those of the tasks are due that are not yet."""
    with connection.cursor() as cursor:
        cursor.execute(LATER, [[task.id for task in tasks], at])
        return dict(cursor.fetchall())


def _set_timers(tasks: Sequence[Task], due: dict[UUID, datetime]) -> None:
    write(
        timer_upsert(
            organisation_id=task.organisation_id,
            kind=RETENTION,
            subject_id=task.id,
            due_at=due[task.id],
        )
        for task in tasks
        if task.id in due
    )


# --- what is deleted ------------------------------------------------------------------------------


def _purge_unheld(tasks: Sequence[Task], at: datetime) -> set[UUID]:
    """Purge those of the locked tasks that nothing holds. Return all but those to try again.

    A held task is purged by its timer, which looks again every day, or when the hold is released.
    """
    held = _held(tasks)
    _set_timers(tasks, dict.fromkeys(held, at + RECHECK))
    ids = [task.id for task in tasks if task.id not in held]
    locked = {task_id for purger in _purgers for task_id in purger(ids)}
    _delete_content([task_id for task_id in ids if task_id not in locked], at)
    return {*ids, *held} - locked


def _held(tasks: Sequence[Task]) -> set[UUID]:
    """Return the tasks with a legal hold. None is placed on the others before the commit."""
    organisations = {task.organisation_id for task in tasks}
    with connection.cursor() as cursor:
        for organisation_id in sorted(organisations):
            cursor.execute(LOCK_SHARED, [lock_name(organisation_id)])
    holds = LegalHold.objects.filter(released_at=None, organisation_id__in=organisations)
    of_these = holds.filter(Q(task_id=None) | Q(task_id__in=[task.id for task in tasks]))
    held = {*of_these.values_list("organisation_id", "task_id")}
    return {
        task.id
        for task in tasks
        if held & {(task.organisation_id, None), (task.organisation_id, task.id)}
    }


# The reason of a failure is a code of ours; that of a cancellation is a person's.
TASKS = """
UPDATE tasks_task SET title = '', instructions = '', context = '{}', output = NULL,
    output_schema = NULL, output_schema_text = NULL, created_by = '', callback_url = '',
    callback_auth = '{"type": "none"}',
    close_reason = CASE
        WHEN status <> 'cancelled' AND close_reason ~ '^[a-z_]{1,40}$' THEN close_reason ELSE ''
    END,
    purged_at = %s
WHERE id = ANY(%s)
"""
RUNS = """
UPDATE tasks_run SET output = NULL, error = ''
WHERE task_id = ANY(%s) AND (output IS NOT NULL OR error <> '')
"""
DRAFTS = "DELETE FROM tasks_draft WHERE task_id = ANY(%s)"
MESSAGES = "DELETE FROM tasks_message WHERE task_id = ANY(%s)"


def _delete_content(task_ids: Sequence[UUID], at: datetime) -> None:
    ids = list(task_ids)
    if not ids:
        return
    purge_files(task_ids=ids, at=at)
    erase_notes(task_ids=ids)
    with connection.cursor() as cursor:
        cursor.execute(RUNS, [ids])
        cursor.execute(DRAFTS, [ids])
        cursor.execute(MESSAGES, [ids])
        cursor.execute(TASKS, [at, ids])
