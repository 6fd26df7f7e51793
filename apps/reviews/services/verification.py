"""Verify submissions before their callers may see them.

The schema and the evidence were checked when it was submitted. Where no policy requires a person's
verdict, the output is verified and the task completed.
"""

from datetime import datetime
from uuid import UUID

from apps.accounts import principal
from apps.base import clock
from apps.base.drains import Postponed, handle_each, iterate_rows
from apps.base.transactions import atomic
from apps.tasks import services as tasks
from apps.tasks.models import Task
from apps.tasks.selectors import unverified_tasks
from apps.tasks.services.locks import lock_unverified
from biolayer.lifecycle import Status

_postponed = Postponed()


def verify_submitted(*, at: datetime | None = None) -> int:
    """Verify and complete every submitted task, oldest first. Return how many."""

    @atomic()
    def verify(task_id: UUID) -> bool:
        task = lock_unverified(task_id=task_id)
        if task is not None:
            _verify(task, at or clock.now())
        return task is not None

    return handle_each(iterate_rows(unverified_tasks()), verify, postponed=_postponed)


def _verify(task: Task, at: datetime) -> None:
    actor = principal.system("verification", task.organisation_id)
    if task.status == Status.SUBMITTED:
        tasks.verify_task(task=task, actor=actor, at=at)
    tasks.complete_task(task=task, actor=actor, at=at)
