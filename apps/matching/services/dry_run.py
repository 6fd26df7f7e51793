"""Predict what a changed policy of a pool would do to the tasks that are queued for it now.

The change is made, the tasks are matched as the matcher would, and all of it is rolled back: so the
prediction cannot differ from the change. Steps of an escalation policy count as taken when their
time since the task was queued is over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Literal
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from apps.accounts.principal import Principal
from apps.base import rows
from apps.matching.escalation_policy import Policy, relaxed
from apps.matching.fair_share import MAX_BATCH
from apps.matching.services.batch import Batch, broadcast, pools_of
from apps.matching.task_queue import QueuedTask
from apps.pools import services as pool_services
from apps.pools.selectors import pool_escalation
from apps.pools.services.locks import lock_pool
from apps.tasks.changes import requirement_row
from apps.tasks.models import Task
from apps.tasks.requirements import current_requirement
from biolayer.lifecycle import Status

MAX_CHANGED = 50

Fate = Literal["offered", "waits", "fails"]


@dataclass(frozen=True, slots=True)
class Outlook:
    """Say what would become of each task, and to how many workers offers would be made."""

    fates: Mapping[UUID, Fate]
    workers_offered: int

    def count(self, fate: Fate) -> int:
        """Return how many tasks would have that fate."""
        return sum(one == fate for one in self.fates.values())


@dataclass(frozen=True, slots=True)
class DryRun:
    """Say what a change of a pool would do to the first `MAX_BATCH` tasks queued for it."""

    pool_id: UUID
    tasks_queued: int
    before: Outlook
    after: Outlook

    @property
    def changed(self) -> Sequence[UUID]:
        """Return the first `MAX_CHANGED` tasks that would have another fate."""
        after = self.after.fates
        changed = [task_id for task_id, fate in self.before.fates.items() if after[task_id] != fate]
        return changed[:MAX_CHANGED]


def dry_run(*, actor: Principal, pool_id: UUID, document: Any, at: datetime) -> DryRun:
    """Predict what a change of the pool would do to the tasks that the actor may see.

    Raise what the change itself raises: `InvalidInput`, `NotFound`, `PoolClosed`, `ScopeMissing`.
    """
    with transaction.atomic():
        lock_pool(actor=actor, pool_id=pool_id)
        is_for_pool = Q(pool_ids__contains=[pool_id]) | Q(pool_ids=None)
        queued = Task.objects.visible_to(actor).filter(is_for_pool, status=Status.QUEUED)
        count = queued.count()
        first = queued.order_by("sort_at", "id")[:MAX_BATCH]
        before = _outlook(first.all(), pool_id, at)
        pool_services.update_pool(actor=actor, pool_id=pool_id, document=document, at=at)
        after = _outlook(first.all(), pool_id, at)
        transaction.set_rollback(True)
    return DryRun(pool_id, count, before, after)


def _outlook(tasks: Iterable[Task], pool_id: UUID, at: datetime) -> Outlook:
    """Match the tasks, which are read here, as they would be after the steps that are due."""
    own = pool_escalation(pool_id=pool_id)
    fates: dict[UUID, Fate] = {}
    queued: list[QueuedTask] = []
    by_id: dict[UUID, Task] = {}
    for task in tasks:
        by_id[task.id] = task
        policy = Policy.of(task.escalation, own if task.pool_id == pool_id else None)
        assert task.waits_since is not None
        due = policy.steps_due(at - task.waits_since)
        if len(policy.steps) < due and policy.at_end == "fail":
            fates[task.id] = "fails"
        else:
            fates[task.id] = "waits"
            if task.escalation_step < due:
                _take_steps(task, policy, due)
            queued.append(_as_queued(task))
    batch = Batch(sorted(queued, key=attrgetter("sort_at", "task_id")), at)
    assignments = batch.assign()
    fates |= {assignment.task_id: "offered" for assignment in assignments}
    further = broadcast(assignments, batch, by_id, pools_of(assignments, by_id.values()))
    return Outlook(fates, len(assignments) + len(further))


def _take_steps(task: Task, policy: Policy, due: int) -> None:
    """Take the steps that are due on the instance. What steps before changed stays."""
    requirement = current_requirement(task)
    for step in policy.steps[task.escalation_step : due]:
        requirement = relaxed(step, requirement, is_of_contract=policy.is_of_contract)
        assert task.sort_at is not None
        task.sort_at -= timedelta(seconds=step.boost_seconds)
    rows.write([requirement_row(requirement)])
    task.escalation_step = due
    task.requirement_id = requirement.id


def _as_queued(task: Task) -> QueuedTask:
    assert task.sort_at is not None
    assert task.requirement_id is not None
    is_escalated = task.escalation_step > 0
    return QueuedTask(
        task.id, task.requirement_id, task.sort_at, task.preferred_worker_id, is_escalated
    )
