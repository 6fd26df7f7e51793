"""Close tasks: verify, complete, rework, fail, cancel, and reopen them."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction

from apps.accounts import principal
from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import record_action
from apps.base.rows import Change, Insert
from apps.base.transactions import atomic, one_of_several
from apps.tasks.changes import open_run_end, open_run_holder_release, requirement_row
from apps.tasks.models import Run, RunStatus, Task
from apps.tasks.requirements import contract_requirement
from apps.tasks.services.locks import lock_task
from apps.tasks.services.queueing import next_run, run_columns, sort_time
from apps.tasks.services.reviewing import NOT_IN_REVIEW
from apps.tasks.services.sla import report_breaches
from apps.tasks.transitions import apply
from biolayer.errors import AttemptsExhausted, BioLayerError, NotOfThisApi, TaskPurged
from biolayer.lifecycle import HELD, Command, Status

CheckVersion = Callable[[int], None] | None
"""Gets the version of the locked task, and raises where the actor has read another one."""


def verify_task(*, task: Task, actor: Principal, at: datetime, run: Run | None = None) -> None:
    """Verify a locked, submitted task: its output passed the checks and is shown to the caller.

    `run` is its present run, where the caller has it.
    """
    run = run or Run.objects.get(task_id=task.id, attempt=task.attempt)
    data = {"run_id": str(run.id), "worker_id": str(task.worker_id)}
    apply(task, Command.VERIFY, actor=actor, at=at, data=data, columns={"output": run.output})


def complete_task(*, task: Task, actor: Principal, at: datetime) -> None:
    """Complete a locked, verified task."""
    report_breaches(task, at)
    apply(task, Command.COMPLETE, actor=actor, at=at, data={"worker_id": str(task.worker_id)})


def complete_unreviewed(*, task: Task, at: datetime, run: Run | None = None) -> None:
    """Verify and complete a locked, submitted task at once, unless it waits for a review.

    `run` is its present run, where the caller has it.
    """
    if task.review_id is not None:
        return
    actor = principal.system("verification", task.organisation_id)
    verify_task(task=task, actor=actor, at=at, run=run)
    complete_task(task=task, actor=actor, at=at)


def rework_task(
    *, task: Task, actor: Principal, reason: str, at: datetime, to_same_worker: bool = True
) -> None:
    """Queue a locked, submitted task again after a reviewer refused it; fail it after the last
    attempt.

    The worker whose output it was is asked first, or with `to_same_worker=False` like any other.
    """
    if task.attempt >= task.max_attempts:
        fail_task(task=task, actor=actor, reason="attempts_exhausted", at=at)
        return
    run = next_run(task=task, at=at)
    command, cause = Command.REWORK, {}
    if task.is_claim_only:
        command, cause = Command.HOLD, {"cause": "rework"}
    apply(
        task,
        command,
        actor=actor,
        at=at,
        data={"run_id": str(run.id), "attempt": run.attempt, **cause},
        reason=reason,
        columns={
            **run_columns(run),
            "preferred_worker_id": task.worker_id if to_same_worker else None,
            "worker_id": None,
        },
        also=[Insert(run)],
    )


def fail_task(*, task: Task, actor: Principal, reason: str, at: datetime) -> None:
    """Fail a locked task. `reason` is a code."""
    _close(task, Command.FAIL, {"reason": reason}, actor=actor, at=at, close_reason=reason)


@atomic()
def cancel_task(
    *,
    actor: Principal,
    task_id: UUID,
    reason: str,
    at: datetime,
    check_version: CheckVersion = None,
) -> Task:
    """Cancel a task. Return it unchanged if it is cancelled already.

    Raise `IllegalTransition` once an output was submitted, `NotFound`, `ScopeMissing`.
    """
    actor.require(Scope.TASKS_CANCEL)
    task = lock_task(actor=actor, task_id=task_id)
    if check_version is not None:
        check_version(task.version)
    if task.status != Status.CANCELLED:
        cancel_locked(task=task, actor=actor, reason=reason, at=at)
    return task


def cancel_locked(
    *, task: Task, actor: Principal, reason: str, at: datetime, also: Iterable[Change] = ()
) -> None:
    """Cancel a locked task that is not cancelled. Raise `IllegalTransition`."""
    subject = ("task", task.id)
    record_action(actor=actor, action=AuditAction.TASK_CANCELLED, subject=subject, at=at)
    _close(
        task,
        Command.CANCEL,
        {},
        actor=actor,
        at=at,
        close_reason=reason,
        words=reason,
        more=also,
    )


def cancel_tasks(
    *, actor: Principal, task_ids: Sequence[UUID], reason: str, at: datetime
) -> dict[UUID, Task | BioLayerError]:
    """Cancel tasks, each for itself. Return for each the task, or its refusal.

    They come in the order of `task_ids`, and are cancelled in the order of their ids. Raise
    `ScopeMissing`.
    """
    actor.require(Scope.TASKS_CANCEL)

    # Within a transaction, a refusal undoes its own task only.
    @transaction.atomic
    def cancel(task_id: UUID) -> Task:
        return cancel_task(actor=actor, task_id=task_id, reason=reason, at=at)

    results = {
        task_id: one_of_several(partial(cancel, task_id)) for task_id in sorted(set(task_ids))
    }
    return {task_id: results[task_id] for task_id in dict.fromkeys(task_ids)}


def _close(
    task: Task,
    command: Command,
    data: dict[str, str],
    *,
    actor: Principal,
    at: datetime,
    close_reason: str,
    words: str | None = None,
    more: Iterable[Change] = (),
) -> None:
    report_breaches(task, at)
    run_status = RunStatus.FAILED if command is Command.FAIL else RunStatus.CANCELED
    # All of these see the run as it was before.
    also: list[Change] = [*open_run_end(task, run_status, at), *more]
    if task.status in HELD:
        also.append(open_run_holder_release(task))
    apply(
        task,
        command,
        actor=actor,
        at=at,
        data=data,
        reason=words,
        columns={"close_reason": close_reason, "output": None, **NOT_IN_REVIEW},
        also=also,
    )


@atomic()
def reopen_task(
    *,
    actor: Principal,
    task_id: UUID,
    reason: str,
    at: datetime,
    check_version: CheckVersion = None,
) -> Task:
    """Queue a completed or failed task again for an administrator, while attempts are left.

    Raise `AttemptsExhausted`, `IllegalTransition`, `NotFound`, `NotOfThisApi`, `RoleTooLow`,
    `ScopeMissing`, `TaskPurged`.
    """
    actor.require(Scope.TASKS_MANAGE)
    actor.require_role(Role.ADMIN)
    task = lock_task(actor=actor, task_id=task_id)
    if check_version is not None:
        check_version(task.version)
    if task.is_claim_only:
        raise NotOfThisApi
    if task.purged_at is not None:
        raise TaskPurged
    if task.status in (Status.COMPLETED, Status.FAILED) and task.attempt >= task.max_attempts:
        raise AttemptsExhausted(f"All {task.max_attempts} attempts were used.")
    run = next_run(task=task, at=at)
    # Requirements that escalation steps had dropped apply again: their row may have been deleted.
    requirement = contract_requirement(task)
    apply(
        task,
        Command.REOPEN,
        actor=actor,
        at=at,
        data={"run_id": str(run.id), "attempt": run.attempt},
        reason=reason,
        columns={
            **run_columns(run),
            "output": None,
            "worker_id": None,
            "close_reason": "",
            "sort_at": task.sort_at or sort_time(task, at),
            "requirement_id": requirement.id,
            "escalation_step": 0,
        },
        also=[Insert(run), requirement_row(requirement)],
    )
    subject = ("task", task.id)
    record_action(actor=actor, action=AuditAction.TASK_REOPENED, subject=subject, at=at)
    return task
