"""Taking the steps of a policy while nobody takes a task.

A task that is queued gets a timer for its next step; a step that is taken sets the next. While
somebody holds the task no step is taken: when it is queued again, the chain goes on where it was.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Subquery

from apps.accounts import principal
from apps.base import rows
from apps.base.drains import skip_if_held
from apps.base.rows import Change
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.matching.escalation import ESCALATION, Policy, relaxed
from apps.matching.models import Offer, OfferStatus
from apps.pools.models import Pool, PoolStatus
from apps.pools.selectors import pool_escalation
from apps.tasks import services as tasks
from apps.tasks.changes import replaced_requirement, requirement_row
from apps.tasks.models import Task, TaskQuerySet
from apps.tasks.requirements import RequirementSpec, contract_requirement, current_requirement
from apps.timers.changes import timer_upsert, timer_upsert_from
from apps.timers.models import Timer
from biolayer.lifecycle import Status

WAITING = (Status.QUEUED, Status.MATCHED, Status.OFFERED)

SET_OUT = f"""
SELECT task.id, task.organisation_id, '{ESCALATION}', task.task_id, task.since + make_interval(secs =>
    coalesce((steps -> task.step ->> 'after_seconds')::int, 2 * last_after - before_last_after))
FROM jsonb_to_recordset(%s) AS task (id uuid, organisation_id uuid, task_id uuid, pool_id uuid,
    policy jsonb, step int, since timestamptz)
LEFT JOIN pools_pool p ON p.id = task.pool_id
CROSS JOIN LATERAL (SELECT coalesce(nullif(task.policy, 'null'), p.escalation) AS policy) AS given
CROSS JOIN LATERAL (SELECT given.policy -> 'steps' AS steps) AS list
CROSS JOIN LATERAL (
    SELECT coalesce((steps -> -1 ->> 'after_seconds')::int, 0) AS last_after,
        coalesce((steps -> -2 ->> 'after_seconds')::int, 0) AS before_last_after) AS ends
WHERE jsonb_typeof(steps) = 'array' AND jsonb_array_length(steps) > 0
    AND (task.step < jsonb_array_length(steps) OR given.policy ->> 'at_end' = 'fail'
        OR task.step = jsonb_array_length(steps) AND given.policy ->> 'at_end' = 'notify')
"""
"""The same as `Policy.next_moment`, for a reaction, which reads nothing itself."""


def set_out(task: Task) -> Iterable[Change]:
    """The timer of the next step of a task that was queued, unless its policy has none."""
    yield timer_upsert_from(
        SET_OUT,
        {
            "organisation_id": task.organisation_id,
            "task_id": task.id,
            "pool_id": task.pool_id,
            "policy": task.escalation,
            "step": task.escalation_step,
            "since": task.waits_since,
        },
    )


def follow_policy(pool_id: UUID, organisation_id: UUID) -> None:
    """The pool has another policy: whatever waits for it and has none of its own goes by that from now on,
    as if it had done so since it began to wait. What steps changed that were taken stays.
    """
    of_pool = Task.objects.filter(pool_id=pool_id, escalation__isnull=True)
    asked = Offer.objects.filter(organisation_id=organisation_id, status=OfferStatus.OPEN)
    queued = of_pool.filter(organisation_id=organisation_id, status=Status.QUEUED)
    _set_out_all(pool_id, queued, of_pool.filter(id__in=asked.values("task_id")))


def set_out_forgotten() -> None:
    """A task that was queued while its pool's policy was changed, each unseen by the other, goes by the new
    one now.
    """
    fired_now = Timer.objects.filter(
        subject_id=OuterRef("id"), kind=ESCALATION, claim_token__isnull=False
    )
    for pool in Pool.objects.filter(status=PoolStatus.ACTIVE, escalation__has_key="steps"):
        queued = Task.objects.filter(organisation_id=pool.organisation_id, status=Status.QUEUED)
        own = queued.filter(pool_id=pool.id, escalation__isnull=True)
        with skip_if_held("timers of a changed policy"):
            _set_out_all(pool.id, own.exclude(Exists(fired_now)))


def _set_out_all(pool_id: UUID, *waiting: TaskQuerySet) -> None:
    """The timers of the next steps of tasks that wait, by the pool's policy: those that are others now."""
    policy = Policy.of(None, pool_escalation(pool_id=pool_id))
    timer = Timer.objects.filter(subject_id=OuterRef("id"), kind=ESCALATION)
    columns = ("organisation_id", "id", "escalation_step", "waits_since", "due_at")
    found = chain.from_iterable(
        tasks.annotate(due_at=Subquery(timer.values("due_at"))).values_list(*columns)
        for tasks in waiting
    )
    rows.write(
        timer_upsert(
            organisation_id=organisation_id, kind=ESCALATION, subject_id=task_id, due_at=due_at
        )
        for organisation_id, task_id, step, since, set_at in found
        if (due_at := policy.next_at(step, since)) is not None and due_at != set_at
    )
    wake("timers")


@atomic()
def escalate(*, task_id: UUID, at: datetime) -> datetime | None:
    """The timer: take the next step of a task that still waits. Answers when the one after is due, or this
    one, if it is not yet: the policy may be another than when the timer was set.
    """
    task = Task.objects.locked_nowait().filter(id=task_id).first()
    if task is None or task.status not in WAITING:
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
    signature = relaxed(step, current_requirement(task), is_of_contract=policy.is_of_contract)
    assert task.sort_at is not None
    tasks.escalate_task(
        task=task,
        actor=principal.system("escalation", task.organisation_id),
        at=at,
        data={"step": number, **step.model_dump(mode="json", exclude_defaults=True)},
        columns={
            "escalation_step": number,
            "requirement_id": signature.id,
            "sort_at": task.sort_at - timedelta(seconds=step.boost_seconds),
        },
        also=[requirement_row(signature)],
    )


def _end(task: Task, policy: Policy, at: datetime) -> None:
    """No step has helped."""
    actor = principal.system("escalation", task.organisation_id)
    if policy.at_end == "fail":
        tasks.fail_task(task=task, actor=actor, reason="nobody_found", at=at)
        return
    data: dict[str, Any] = {"step": task.escalation_step, "at_end": policy.at_end}
    columns = {"escalation_step": task.escalation_step + 1}
    tasks.escalate_task(task=task, actor=actor, at=at, data=data, columns=columns)


MISSING = """
WITH RECURSIVE asked AS (
    (SELECT requirement_id AS id FROM tasks_task
     WHERE closed_at IS NULL AND requirement_id IS NOT NULL ORDER BY requirement_id LIMIT 1)
    UNION ALL
    SELECT (SELECT requirement_id FROM tasks_task
            WHERE closed_at IS NULL AND requirement_id > asked.id ORDER BY requirement_id LIMIT 1)
    FROM asked WHERE asked.id IS NOT NULL
)
SELECT id FROM asked
WHERE id IS NOT NULL AND NOT EXISTS (SELECT FROM tasks_requirement r WHERE r.id = asked.id)
LIMIT 500
"""
"""It skips through an index: the cost follows the number of requirements, not of tasks."""


def restore_requirements() -> int:
    """Make requirements again that open tasks have and that are gone. Return how many.

    `tasks.delete_unused_requirements` may delete one that a transaction under way has just found. No
    worker is matched without it, so this is run often.
    """
    with connection.cursor() as cursor:
        cursor.execute(MISSING)
        missing = [row[0] for row in cursor.fetchall()]
    for requirement_id in missing:
        _restore(requirement_id)
    return len(missing)


@atomic()
def _restore(requirement_id: UUID) -> None:
    having = Task.objects.filter(requirement_id=requirement_id, closed_at__isnull=True)
    task = having.order_by("id").first()
    if task is None:
        return
    signature = _after_steps(task)
    if signature.id == requirement_id:
        rows.write([requirement_row(signature)])
        return
    # The pool's policy is another than when the steps were taken: each such task goes by that one.
    for held in having.locked_skip_locked().order_by("id")[:500]:
        rows.write(replaced_requirement(task_id=held.id, requirement=_after_steps(held)))


def _after_steps(task: Task) -> RequirementSpec:
    """What the task asks for, from its contract and the steps that were taken."""
    policy = Policy.of(task.escalation, pool_escalation(pool_id=task.pool_id))
    signature = contract_requirement(task)
    for step in policy.steps[: task.escalation_step]:
        signature = relaxed(step, signature, is_of_contract=policy.is_of_contract)
    return signature
