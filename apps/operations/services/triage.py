"""Note what a caller has read, dismissed and archived in its inbox."""

from datetime import datetime

from django.db import connection

from apps.accounts.scopes import Scope
from apps.base.queries import fill, load_template
from apps.operations.caller import Caller
from apps.operations.selectors.find import task_id_of
from apps.operations.selectors.inbox import Triage
from apps.operations.selectors.selection import ACTIVITY_SQL, TaskFilter, selection
from biolayer.errors import NotFound

TRIAGE = load_template("apps.operations", "triage")


def mark_read(*, caller: Caller, task_id: str, at: datetime) -> Triage:
    """Mark a task as read until something happens to it. Raise as `_note` does."""
    return _note(caller, task_id, at)


def dismiss(*, caller: Caller, task_id: str, at: datetime) -> Triage:
    """Hide a task until something happens to it. Raise as `_note` does."""
    return _note(caller, task_id, at, is_dismissed=True)


def archive(*, caller: Caller, task_id: str, at: datetime) -> Triage:
    """Put a task among those that stay read, whatever happens to it. Raise as `_note` does."""
    return _note(caller, task_id, at, is_archived=True)


def _note(
    caller: Caller,
    task_id: str,
    at: datetime,
    *,
    is_dismissed: bool = False,
    is_archived: bool = False,
) -> Triage:
    """Note it of a task of whichever API. It changes nothing that others see of the task.

    Raise `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    caller.principal.require(Scope.TASKS_READ)
    visible = selection(caller.principal, TaskFilter())
    sql = fill(TRIAGE, activity=ACTIVITY_SQL, tasks=visible.tasks)
    values = {
        **visible.values,
        "task_id": task_id_of(caller, task_id),
        "actor_kind": caller.kind,
        "actor_ref": caller.ref,
        "is_dismissed": is_dismissed,
        "is_archived": is_archived,
        "at": at,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row = cursor.fetchone()
    if row is None:
        raise NotFound("task")
    return Triage(*row)
