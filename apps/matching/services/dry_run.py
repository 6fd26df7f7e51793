"""What a changed policy of a pool would do to the tasks that wait for it now.

The change is really made, the tasks are looked at as the matcher would, and all of it is rolled back:
so the answer cannot differ from what the change does. Steps of an escalation policy count as taken
when their time since the task was queued is over.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from apps.accounts.principal import Principal
from apps.base import rows
from apps.matching.candidates import QueuedTask
from apps.matching.escalation import Policy, relaxed
from apps.matching.services.choosing import Look, others_to_ask, pools_of
from apps.matching.turns import BATCH
from apps.pools import services as pools
from apps.pools.selectors import pool_escalation
from apps.pools.services.locks import lock_pool
from apps.tasks.changes import requirement_row
from apps.tasks.models import Task
from apps.tasks.requirements import current_requirement
from biolayer.lifecycle import Status

MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Outlook:
    """What would become of each task: `offered`, `waits` or `fails`; and how many would be asked."""

    fates: dict[UUID, str]
    workers_asked: int

    def shown(self) -> dict[str, int]:
        counted = Counter(self.fates.values())
        return {
            **{fate: counted[fate] for fate in ("offered", "waits", "fails")},
            "workers_asked": self.workers_asked,
        }


def dry_run(*, actor: Principal, pool_id: UUID, document: Any, at: datetime) -> dict[str, Any]:
    """Before and after a change of the pool, for the first `BATCH` tasks that may wait for it
    and that the actor may see.

    Raises what the change itself raises: `InvalidInput`, `NotFound`, `PoolClosed`, `ScopeMissing`.
    """
    with transaction.atomic():
        lock_pool(actor=actor, pool_id=pool_id)
        may_wait = Q(pool_ids__contains=[pool_id]) | Q(pool_ids=None)
        waiting = Task.objects.visible_to(actor).filter(may_wait, status=Status.QUEUED)
        count = waiting.count()
        first = waiting.order_by("sort_at", "id")[:BATCH]
        before = _outlook(first.all(), pool_id, at)
        pools.update_pool(actor=actor, pool_id=pool_id, document=document, at=at)
        after = _outlook(first.all(), pool_id, at)
        transaction.set_rollback(True)
    return {
        "pool_id": str(pool_id),
        "tasks_waiting": count,
        "tasks_looked_at": len(before.fates),
        "before": before.shown(),
        "after": after.shown(),
        "changed": _changed(before, after),
    }


def _changed(before: Outlook, after: Outlook) -> list[dict[str, str]]:
    """The first tasks that would fare differently."""
    differing = [
        {"task_id": str(task_id), "before": fate, "after": after.fates[task_id]}
        for task_id, fate in before.fates.items()
        if after.fates[task_id] != fate
    ]
    return differing[:MOST_SHOWN]


def _outlook(tasks: Iterable[Task], pool_id: UUID, at: datetime) -> Outlook:
    """`tasks` are read here, and stand here as they would after the steps that are due."""
    own = pool_escalation(pool_id=pool_id)
    fates: dict[UUID, str] = {}
    queued: list[QueuedTask] = []
    by_id: dict[UUID, Task] = {}
    for task in tasks:
        by_id[task.id] = task
        policy = Policy.of(task.escalation, own if task.pool_id == pool_id else None)
        assert task.waits_since is not None
        due = policy.steps_after((at - task.waits_since).total_seconds())
        is_at_end = len(policy.steps) < due
        if is_at_end and policy.at_end == "fail":
            fates[task.id] = "fails"
        else:
            fates[task.id] = "waits"
            if task.escalation_step < due:
                _take_steps(task, policy, due)
            queued.append(_as_queued(task))
    look = Look(sorted(queued, key=attrgetter("sort_at", "task_id")), at)
    choices = look.choose()
    fates |= {choice.task_id: "offered" for choice in choices}
    others = others_to_ask(choices, look, by_id, pools_of(choices, by_id.values()))
    return Outlook(fates, len(choices) + len(others))


def _take_steps(task: Task, policy: Policy, due: int) -> None:
    """The task as it stands after the steps that are due. What was taken before is not taken back."""
    signature = current_requirement(task)
    for step in policy.steps[task.escalation_step : due]:
        signature = relaxed(step, signature, is_of_contract=policy.is_of_contract)
        assert task.sort_at is not None
        task.sort_at -= timedelta(seconds=step.boost_seconds)
    rows.write([requirement_row(signature)])
    task.escalation_step = due
    task.requirement_id = signature.id


def _as_queued(task: Task) -> QueuedTask:
    assert task.sort_at is not None
    assert task.requirement_id is not None
    is_escalated = task.escalation_step > 0
    return QueuedTask(
        task.id, task.requirement_id, task.sort_at, task.preferred_worker_id, is_escalated
    )
