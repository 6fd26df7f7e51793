"""Let operators put many tasks right at once: each task for itself, with a result of its own."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.transactions import atomic, one_of_several
from apps.matching.services.operator_calls import boost_task, requeue_task
from apps.matching.services.task_changes import update_task
from apps.tasks.models import Task
from apps.tasks.services.locks import lock_task
from biolayer.errors import BioLayerError, Fault, InvalidInput
from biolayer.requests.tasks import SlaChanges, TaskChanges

Results = Mapping[UUID, Task | BioLayerError]
"""For each task, in the order in which they were named, the task or its refusal."""


def requeue_tasks(
    *, actor: Principal, task_ids: Sequence[UUID], reason: str, at: datetime
) -> Results:
    """Take tasks back from their offers or workers. Raise `ScopeMissing`; see `requeue_task`."""

    def requeue(task_id: UUID) -> Task:
        return requeue_task(actor=actor, task_id=task_id, reason=reason, at=at)

    return _each(actor, task_ids, requeue)


def boost_tasks(
    *, actor: Principal, task_ids: Sequence[UUID], seconds: int, reason: str, at: datetime
) -> Results:
    """Move tasks ahead in the queue. Raise `ScopeMissing`; see `boost_task`."""

    def boost(task_id: UUID) -> Task:
        return boost_task(actor=actor, task_id=task_id, seconds=seconds, reason=reason, at=at)

    return _each(actor, task_ids, boost)


def extend_deadlines(
    *, actor: Principal, task_ids: Sequence[UUID], seconds: int, reason: str, at: datetime
) -> Results:
    """Move the deadline of each task by some seconds, from now where it has passed.

    A task without a deadline is refused. Raise `ScopeMissing`; see `update_task`.
    """

    @atomic()
    def extend(task_id: UUID) -> Task:
        task = lock_task(actor=actor, task_id=task_id)
        if task.deadline is None:
            raise InvalidInput([Fault("/sla/deadline", "required", "it has no deadline")])
        try:
            deadline = max(task.deadline, at) + timedelta(seconds=seconds)
        except OverflowError:
            raise InvalidInput([Fault("/sla/deadline", "too_large", "is too late")]) from None
        changes = TaskChanges(sla=SlaChanges(deadline=deadline), reason=reason)
        return update_task(actor=actor, task_id=task_id, changes=changes, at=at)

    return _each(actor, task_ids, extend)


def _each(actor: Principal, task_ids: Sequence[UUID], call: Callable[[UUID], Task]) -> Results:
    """Call for each task in the order of their ids, which is that of their locks."""
    actor.require(Scope.TASKS_MANAGE)
    results = {task_id: one_of_several(partial(call, task_id)) for task_id in sorted(set(task_ids))}
    return {task_id: results[task_id] for task_id in dict.fromkeys(task_ids)}
