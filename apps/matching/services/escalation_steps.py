"""Take the steps of escalation policies while no worker takes a task.

A task that is queued gets a timer for its next step; a step that is taken sets the next timer.
While a worker has the task no step is taken: when the task is queued again, the policy continues
where it was.
"""

from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Subquery

from apps.accounts import principal
from apps.base import rows
from apps.base.drains import skip_if_locked
from apps.base.queries import load_query
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.matching.changes import ESCALATION
from apps.matching.escalation_policy import Policy, relaxed
from apps.matching.models import Offer, OfferStatus
from apps.pools.models import Pool, PoolStatus
from apps.pools.selectors import pool_escalation
from apps.tasks import services as tasks
from apps.tasks.changes import replaced_requirement, requirement_row
from apps.tasks.models import Task, TaskQuerySet
from apps.tasks.requirements import RequirementSpec, contract_requirement, current_requirement
from apps.timers.changes import timer_upsert
from apps.timers.models import Timer
from biolayer.lifecycle import MATCHING, Status

MISSING_REQUIREMENTS = load_query("apps.matching", "missing_requirements")


def apply_pool_policy(pool_id: UUID, organisation_id: UUID) -> None:
    """Set the timers of tasks that wait for a pool by its new policy, unless they have their own.

    The steps come as if the policy had been there since each task began to wait. What steps changed
    that were taken before stays.
    """
    of_pool = Task.objects.filter(pool_id=pool_id, escalation__isnull=True)
    open_offers = Offer.objects.filter(organisation_id=organisation_id, status=OfferStatus.OPEN)
    queued = of_pool.filter(organisation_id=organisation_id, status=Status.QUEUED)
    _schedule(pool_id, queued, of_pool.filter(id__in=open_offers.values("task_id")))


def schedule_missed_steps() -> None:
    """Set timers by the present policies of pools, where they differ.

    A task may be queued while its pool's policy is changed, and neither transaction sees the other.
    """
    firing = Timer.objects.filter(
        subject_id=OuterRef("id"), kind=ESCALATION, claim_token__isnull=False
    )
    for pool in Pool.objects.filter(status=PoolStatus.ACTIVE, escalation__has_key="steps"):
        queued = Task.objects.filter(organisation_id=pool.organisation_id, status=Status.QUEUED)
        own = queued.filter(pool_id=pool.id, escalation__isnull=True)
        with skip_if_locked("timers of a changed policy"):
            _schedule(pool.id, own.exclude(Exists(firing)))


def _schedule(pool_id: UUID, *querysets: TaskQuerySet) -> None:
    """Set the timers of the next steps of tasks by the pool's policy, where they differ."""
    policy = Policy.of(None, pool_escalation(pool_id=pool_id))
    timer = Timer.objects.filter(subject_id=OuterRef("id"), kind=ESCALATION)
    columns = ("organisation_id", "id", "escalation_step", "waits_since", "due_at")
    waiting = chain.from_iterable(
        queryset.annotate(due_at=Subquery(timer.values("due_at"))).values_list(*columns)
        for queryset in querysets
    )
    rows.write(
        timer_upsert(
            organisation_id=organisation_id, kind=ESCALATION, subject_id=task_id, due_at=due_at
        )
        for organisation_id, task_id, steps_taken, since, set_to in waiting
        if (due_at := policy.next_at(steps_taken, since)) is not None and due_at != set_to
    )
    wake("timers")


@atomic()
def escalate(*, task_id: UUID, at: datetime) -> datetime | None:
    """Take the next step of a task that still waits, where it is due: what the timer does.

    Return when the timer is due again; None: never. A step may not be due yet, since the policy may
    have changed after the timer was set. Raise `OperationalError` at once where another transaction
    has the task locked.
    """
    task = Task.objects.locked_nowait().filter(id=task_id).first()
    if task is None or task.status not in MATCHING:
        return None
    assert task.waits_since is not None
    policy = Policy.of(task.escalation, pool_escalation(pool_id=task.pool_id))
    due_at = policy.next_at(task.escalation_step, task.waits_since)
    if due_at is None or due_at > at:
        return due_at
    if task.escalation_step >= len(policy.steps):
        _end(task, policy, at)
        return None
    _take(task, policy, at)
    return policy.next_at(task.escalation_step, task.waits_since)


def _take(task: Task, policy: Policy, at: datetime) -> None:
    number = task.escalation_step + 1
    step = policy.steps[number - 1]
    requirement = relaxed(step, current_requirement(task), is_of_contract=policy.is_of_contract)
    assert task.sort_at is not None
    tasks.escalate_task(
        task=task,
        actor=principal.system("escalation", task.organisation_id),
        at=at,
        data={"step": number, **step.model_dump(mode="json", exclude_defaults=True)},
        columns={
            "escalation_step": number,
            "requirement_id": requirement.id,
            "sort_at": task.sort_at - timedelta(seconds=step.boost_seconds),
        },
        also=[requirement_row(requirement)],
    )


def _end(task: Task, policy: Policy, at: datetime) -> None:
    """End a policy whose steps have not helped."""
    actor = principal.system("escalation", task.organisation_id)
    if policy.at_end == "fail":
        tasks.fail_task(task=task, actor=actor, reason="nobody_found", at=at)
        return
    data: dict[str, Any] = {"step": task.escalation_step, "at_end": policy.at_end}
    columns = {"escalation_step": task.escalation_step + 1}
    tasks.escalate_task(task=task, actor=actor, at=at, data=data, columns=columns)


def restore_requirements() -> int:
    """Insert requirements again that open tasks have and that are gone. Return how many.

    `tasks.delete_unused_requirements` may delete one that a transaction under way has just read. A
    task without its requirement is not matched, so this is run often.
    """
    with connection.cursor() as cursor:
        cursor.execute(MISSING_REQUIREMENTS)
        missing = [row[0] for row in cursor.fetchall()]
    for requirement_id in missing:
        _restore(requirement_id)
    return len(missing)


@atomic()
def _restore(requirement_id: UUID) -> None:
    # What a task of `/api` requires is no contract's: its row is kept while it is queued.
    having = Task.objects.filter(
        requirement_id=requirement_id, closed_at__isnull=True, is_claim_only=False
    )
    first = having.order_by("id").first()
    if first is None:
        return
    requirement = requirement_after_steps(first)
    if requirement.id == requirement_id:
        rows.write([requirement_row(requirement)])
        return
    # The pool's policy has changed since the steps were taken: each such task goes by the new one.
    for task in having.locked_skip_locked().order_by("id")[:500]:
        rows.write(replaced_requirement(task_id=task.id, requirement=requirement_after_steps(task)))


def requirement_after_steps(task: Task) -> RequirementSpec:
    """Return what the task asks for, from its contract and the steps that were taken."""
    policy = Policy.of(task.escalation, pool_escalation(pool_id=task.pool_id))
    requirement = contract_requirement(task)
    for step in policy.steps[: task.escalation_step]:
        requirement = relaxed(step, requirement, is_of_contract=policy.is_of_contract)
    return requirement
