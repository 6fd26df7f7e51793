"""Handing a task to somebody: queued, matched, offered, accepted."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.base import clock, rows
from apps.base.drains import Postponed, in_batches, rows_of
from apps.base.rows import Change, Insert, Update
from apps.base.transactions import atomic
from apps.pools import services as pools
from apps.tasks.models import Run, RunStatus, Task
from apps.tasks.requirements import kept, signature_of
from apps.tasks.transitions import apply
from apps.timers.services import set_timer
from biolayer.errors import TaskGated
from biolayer.lifecycle import Command, Status

LEASE = "lease"
"""The timer that ends a run's lease; its subject is the run."""


BOOST = {
    "critical": timedelta(minutes=60),
    "high": timedelta(minutes=15),
    "normal": timedelta(0),
    "low": timedelta(minutes=-15),
}
"""How far an urgency moves a task ahead of its time. Waiting counts for every task alike, so the
rest is overtaken only by what was queued within this gap, and nothing starves."""

LEAD = max(BOOST.values())
"""So long before it is due a task's turn should come. No more than what the highest urgency gives:
what is due at once overtakes no more than that does."""


INTAKE_BATCH = 100

_postponed = Postponed()


def queue_created(*, at: datetime | None = None) -> int:
    """Queue every ungated task at `created`, oldest first. Answers how many.

    A batch is one transaction and one statement. One that fails is done task by task, so that a bad
    row holds up nobody.
    """
    ready = Task.objects.filter(status=Status.CREATED, gate_count=0)

    @atomic()
    def queue(task_ids: Sequence[UUID]) -> int:
        tasks = ready.filter(id__in=task_ids).order_by("id").passing_over_locked()
        with rows.batched():
            for task in tasks:
                actor = principal.system("intake", task.organisation_id)
                queue_task(task=task, actor=actor, at=at or clock.now())
        return len(tasks)

    return in_batches(rows_of(ready), queue, size=INTAKE_BATCH, postponed=_postponed)


def queue_task(*, task: Task, actor: Principal, at: datetime) -> None:
    """Queue a locked task with its first run. Raises `TaskGated` while a gate is closed."""
    if task.gate_count:
        raise TaskGated(f"{task.gate_count} gate(s) still hold this task at `created`.")
    run = next_run(task=task, at=at)
    apply(
        task,
        Command.QUEUE,
        actor=actor,
        at=at,
        data={"run_id": str(run.id), "attempt": run.attempt},
        columns={"attempt": run.attempt, "sort_at": place_in_queue(task, at)},
        # Unused requirements are forgotten: this one may have been, while its task was being posted.
        also=[Insert(run), kept(signature_of(task))],
    )


def place_in_queue(task: Task, at: datetime) -> datetime:
    """The task's `sort_at` when it is queued for the first time at `at`: moved ahead by its urgency,
    or to `LEAD` before the earlier of its two SLA clocks runs out, whichever is earlier.
    """
    ahead = BOOST[task.urgency]
    for due_at in task.deadline, task.latency_due_at:
        if due_at is not None:
            ahead = max(ahead, LEAD - max(due_at - at, timedelta(0)))
    return at - ahead


def next_run(*, task: Task, at: datetime) -> Run:
    """An unsaved run: the task's next attempt."""
    return Run(
        organisation_id=task.organisation_id, task=task, attempt=task.attempt + 1, queued_at=at
    )


def match_task(*, task: Task, actor: Principal, at: datetime, data: Mapping[str, Any]) -> None:
    """A worker was found for a locked task; the caller reserves it in the same transaction."""
    apply(task, Command.MATCH, actor=actor, at=at, data=data)


def offer_task(
    *, task: Task, actor: Principal, at: datetime, data: Mapping[str, Any], also: Iterable[Change]
) -> None:
    """The offer is out."""
    apply(task, Command.OFFER, actor=actor, at=at, data=data, also=also)


def requeue_task(
    *, task: Task, actor: Principal, at: datetime, data: Mapping[str, Any], also: Iterable[Change]
) -> None:
    """Every offer ended without an accept: the task waits for a worker again, on the same run."""
    apply(task, Command.REQUEUE, actor=actor, at=at, data=data, also=also)


def escalate_task(
    *,
    task: Task,
    actor: Principal,
    at: datetime,
    data: Mapping[str, Any],
    columns: Mapping[str, Any],
    also: Iterable[Change] = (),
) -> None:
    """Nobody takes a locked task, and what is asked for changes: its status stays."""
    apply(task, Command.ESCALATE, actor=actor, at=at, data=data, columns=columns, also=also)


def accept_task(
    *,
    task: Task,
    run: Run,
    worker_id: UUID,
    lease_seconds: int,
    units: int,
    actor: Principal,
    at: datetime,
    data: Mapping[str, Any],
    also: Iterable[Change],
) -> None:
    """The worker takes the locked run, for `lease_seconds` that each of its calls renews. `units` of
    its capacity are taken already, by the offer.
    """
    run.units = units
    _hand_over(
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
    lease_seconds: int,
    units: int = 1,
    actor: Principal,
    at: datetime,
) -> None:
    """An agent takes a locked queued task without an offer, and `units` of its own capacity with it."""
    run.units = units
    also = [pools.reserve(worker_id=worker_id, units=units)]
    _hand_over(
        Command.CLAIM, task, run, worker_id, lease_seconds, actor=actor, at=at, data={}, also=also
    )


def _hand_over(
    command: Command,
    task: Task,
    run: Run,
    worker_id: UUID,
    lease_seconds: int,
    *,
    actor: Principal,
    at: datetime,
    data: Mapping[str, Any],
    also: Iterable[Change],
) -> None:
    held: dict[str, Any] = {
        "status": RunStatus.CLAIMED,
        "worker_id": worker_id,
        "units": run.units,
        "epoch": run.epoch + 1,
        "lease_seconds": lease_seconds,
        "lease_until": at + timedelta(seconds=lease_seconds),
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
        columns={"worker_id": worker_id, "preferred_worker_id": None},
        also=[
            Update(Run, {"id": run.id}, held),
            set_timer(
                organisation_id=run.organisation_id,
                kind=LEASE,
                subject_id=run.id,
                due_at=held["lease_until"],
            ),
            *also,
        ],
    )
    for name, value in held.items():
        setattr(run, name, value)
