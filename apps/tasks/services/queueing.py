"""Queue tasks and assign them to workers: queue, match, offer, accept, claim."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.base import clock, rows
from apps.base.drains import Postponed, handle_in_batches, iterate_rows
from apps.base.rows import Change, Insert
from apps.base.transactions import atomic
from apps.pools.changes import capacity_reservation
from apps.tasks.changes import lease_timer, requirement_row, run_update
from apps.tasks.models import Run, RunStatus, Task
from apps.tasks.requirements import contract_requirement
from apps.tasks.transitions import apply
from biolayer.errors import TaskGated
from biolayer.lifecycle import Command, Status

# How far an urgency moves a task ahead of its time in the queue. Waiting time counts equally for
# all tasks, so a task is overtaken only by tasks queued within this gap, and none starves.
BOOST = {
    "critical": timedelta(minutes=60),
    "high": timedelta(minutes=15),
    "normal": timedelta(0),
    "low": timedelta(minutes=-15),
}

# How long before its deadline a task should be matched. No more than the highest boost: a task that
# is due at once overtakes no more than a critical one does.
LEAD = max(BOOST.values())

INTAKE_BATCH = 100

_postponed = Postponed()


def queue_created(*, at: datetime | None = None) -> int:
    """Queue every ungated task at `created`, oldest first. Return how many.

    A batch is one transaction and one statement. A batch that fails is handled task by task, so
    that a bad row delays no other.
    """
    ready = Task.objects.filter(status=Status.CREATED, gate_count=0)

    @atomic()
    def queue(task_ids: Sequence[UUID]) -> int:
        tasks = ready.filter(id__in=task_ids).order_by("id").locked_skip_locked()
        with rows.batched():
            for task in tasks:
                actor = principal.system("intake", task.organisation_id)
                queue_task(task=task, actor=actor, at=at or clock.now())
        return len(tasks)

    return handle_in_batches(iterate_rows(ready), queue, size=INTAKE_BATCH, postponed=_postponed)


def queue_task(*, task: Task, actor: Principal, at: datetime) -> None:
    """Queue a locked task with its first run. Raise `TaskGated` while a gate is closed."""
    if task.gate_count:
        raise TaskGated(f"{task.gate_count} gate(s) still hold this task at `created`.")
    run = next_run(task=task, at=at)
    apply(
        task,
        Command.QUEUE,
        actor=actor,
        at=at,
        data={"run_id": str(run.id), "attempt": run.attempt},
        columns={**run_columns(run), "sort_at": sort_time(task, at)},
        # Unused requirements are deleted: this one may have been, while its task was being created.
        also=[Insert(run), requirement_row(contract_requirement(task))],
    )


def sort_time(task: Task, at: datetime) -> datetime:
    """Return the `sort_at` of a task that is first queued at `at`.

    It is moved ahead by the task's urgency, or to `LEAD` before the earlier of its two SLA clocks
    runs out, whichever is earlier.
    """
    ahead = BOOST[task.urgency]
    for due_at in task.deadline, task.latency_due_at:
        if due_at is not None:
            ahead = max(ahead, LEAD - max(due_at - at, timedelta(0)))
    return at - ahead


def next_run(*, task: Task, at: datetime) -> Run:
    """Return an unsaved run: the task's next attempt."""
    return Run(
        organisation_id=task.organisation_id, task=task, attempt=task.attempt + 1, queued_at=at
    )


def run_columns(run: Run) -> dict[str, Any]:
    """Return the columns of a task that begins its next run."""
    return {"attempt": run.attempt, "run_queued_at": run.queued_at}


def match_task(*, task: Task, actor: Principal, at: datetime, data: Mapping[str, Any]) -> None:
    """Match a locked task to a worker, whom the caller reserves in the same transaction."""
    apply(task, Command.MATCH, actor=actor, at=at, data=data)


def offer_task(
    *, task: Task, actor: Principal, at: datetime, data: Mapping[str, Any], also: Iterable[Change]
) -> None:
    """Offer a matched task; `also` holds the offers."""
    apply(task, Command.OFFER, actor=actor, at=at, data=data, also=also)


def requeue_task(
    *,
    task: Task,
    actor: Principal,
    at: datetime,
    data: Mapping[str, Any],
    also: Iterable[Change],
    reason: str | None = None,
) -> None:
    """Queue a task on the same run again after all of its offers ended without an accept."""
    apply(task, Command.REQUEUE, actor=actor, at=at, data=data, also=also, reason=reason)


def change_task(
    *,
    task: Task,
    actor: Principal,
    at: datetime,
    data: Mapping[str, Any],
    columns: Mapping[str, Any],
    reason: str,
    also: Iterable[Change] = (),
) -> None:
    """Change what a locked open task asks for, or its place in the queue; its status stays."""
    apply(
        task,
        Command.UPDATE,
        actor=actor,
        at=at,
        data=data,
        reason=reason,
        columns=columns,
        also=also,
    )


def escalate_task(
    *,
    task: Task,
    actor: Principal,
    at: datetime,
    data: Mapping[str, Any],
    columns: Mapping[str, Any],
    also: Iterable[Change] = (),
) -> None:
    """Change what a locked task requires, since no worker accepted it; its status stays."""
    apply(task, Command.ESCALATE, actor=actor, at=at, data=data, columns=columns, also=also)


def accept_task(
    *,
    task: Task,
    run: Run,
    worker_id: UUID,
    lease_seconds: int,
    units: int,
    pool_id: UUID | None,
    actor: Principal,
    at: datetime,
    data: Mapping[str, Any],
    also: Iterable[Change],
) -> None:
    """Give the locked run to the worker, for `lease_seconds` that each of its calls renews.

    The worker has it as a member of the pool. `units` of its capacity are reserved already, by the
    offer.
    """
    run.units, run.pool_id = units, pool_id
    _assign(
        Command.ACCEPT,
        task,
        run,
        worker_id,
        lease_seconds,
        actor=actor,
        at=at,
        data=data,
        also=also,
    )


def claim_task(
    *,
    task: Task,
    run: Run,
    worker_id: UUID,
    lease_seconds: int | None,
    units: int = 1,
    actor: Principal,
    at: datetime,
    also: Iterable[Change] = (),
) -> None:
    """Give a locked task with a queued run to a worker without an offer.

    It is queued, or only claims hand it out (`is_claim_only`). `units` of the worker's capacity are
    reserved. Without `lease_seconds` the claim has no lease, and does not lapse.
    """
    run.units, run.pool_id = units, task.pool_id
    _assign(
        Command.CLAIM,
        task,
        run,
        worker_id,
        lease_seconds,
        actor=actor,
        at=at,
        data={},
        also=[capacity_reservation(worker_id=worker_id, units=units), *also],
    )


def _assign(
    command: Command,
    task: Task,
    run: Run,
    worker_id: UUID,
    lease_seconds: int | None,
    *,
    actor: Principal,
    at: datetime,
    data: Mapping[str, Any],
    also: Iterable[Change],
) -> None:
    lease_until = None if lease_seconds is None else at + timedelta(seconds=lease_seconds)
    columns: dict[str, Any] = {"worker_id": worker_id, "preferred_worker_id": None}
    if task.is_claim_only:
        columns["queued_at"] = run.queued_at
    claim: dict[str, Any] = {
        "status": RunStatus.CLAIMED,
        "worker_id": worker_id,
        "pool_id": run.pool_id,
        "units": run.units,
        "epoch": run.epoch + 1,
        "lease_seconds": lease_seconds,
        "lease_until": lease_until,
        "heartbeat_at": at,
        "claimed_at": at,
    }
    facts = {"run_id": str(run.id), "worker_id": str(worker_id), "attempt": run.attempt, **data}
    apply(
        task,
        command,
        actor=actor,
        at=at,
        data=facts,
        columns=columns,
        also=[
            run_update(run, claim),
            *([] if lease_until is None else [lease_timer(run, lease_until)]),
            *also,
        ],
    )
