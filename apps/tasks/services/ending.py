"""How a task goes on after its run: verified, completed, sent back, failed, cancelled, late."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.base.rows import Change, Insert, Statement
from apps.base.transactions import atomic
from apps.pools import services as pools
from apps.tasks.models import RUN_FINAL, Run, RunStatus, Task
from apps.tasks.services.assigning import next_run, place_in_queue
from apps.tasks.services.locks import lock_task
from apps.tasks.services.working import give_back
from apps.tasks.transitions import apply
from biolayer import chain
from biolayer.errors import AttemptsExhausted
from biolayer.lifecycle import CLOSED, HELD, Command, Status


class Clock(StrEnum):
    """The two SLA clocks, named as `data.breach` names them."""

    DEADLINE = "deadline"
    TARGET_LATENCY = "target_latency"


BREACHED_AT = {
    Clock.DEADLINE: "deadline_breached_at",
    Clock.TARGET_LATENCY: "latency_breached_at",
}


def verify_task(*, task: Task, actor: Principal, at: datetime) -> None:
    """The submitted output of a locked task passed its checks and is the caller's to see."""
    run = Run.objects.get(task_id=task.id, attempt=task.attempt)
    data = {"run_id": str(run.id), "worker_id": str(task.worker_id)}
    apply(task, Command.VERIFY, actor=actor, at=at, data=data, columns={"output": run.output})


def complete_task(*, task: Task, actor: Principal, at: datetime) -> None:
    """The verified output of a locked task is handed off."""
    _breach_what_is_late(task, at)
    apply(task, Command.COMPLETE, actor=actor, at=at, data={"worker_id": str(task.worker_id)})


def rework_task(*, task: Task, actor: Principal, reason: str, at: datetime) -> None:
    """A reviewer sends a locked, submitted task back: the next attempt, or the end with the last."""
    if task.attempt >= task.max_attempts:
        fail_task(task=task, actor=actor, reason="attempts_exhausted", at=at)
        return
    again = next_run(task=task, at=at)
    apply(
        task,
        Command.REWORK,
        actor=actor,
        at=at,
        data={"run_id": str(again.id), "attempt": again.attempt, "reason": reason},
        columns={
            "attempt": again.attempt,
            "preferred_worker_id": task.worker_id,
            "worker_id": None,
        },
        also=[Insert(again)],
    )


def fail_task(*, task: Task, actor: Principal, reason: str, at: datetime) -> None:
    """Give a locked task up for good."""
    _close(task, Command.FAIL, actor=actor, at=at, reason=reason)


@atomic()
def cancel_task(*, actor: Principal, task_id: UUID, reason: str, at: datetime) -> Task:
    """Call a task off. Cancelled already, it is answered unchanged.

    Raises `IllegalTransition` once an output was submitted, `NotFound`, `ScopeMissing`.
    """
    actor.require(Scope.TASKS_CANCEL)
    task = lock_task(actor=actor, task_id=task_id)
    if task.status != Status.CANCELLED:
        _close(task, Command.CANCEL, actor=actor, at=at, reason=reason)
    return task


def _close(task: Task, command: Command, *, actor: Principal, at: datetime, reason: str) -> None:
    _breach_what_is_late(task, at)
    also: list[Change] = [*_end_open_run(task, command, at)]
    if task.status in HELD and task.worker_id is not None:
        also.append(pools.relieve(worker_id=task.worker_id, worked_until=at))
    apply(
        task,
        command,
        actor=actor,
        at=at,
        data={"reason": reason},
        columns={"close_reason": reason, "output": None},
        also=also,
    )


def _end_open_run(task: Task, command: Command, at: datetime) -> Iterable[Statement]:
    """The run of a task that is closed, and its lease's timer. Both see the run as it was before."""
    ended = RunStatus.FAILED if command is Command.FAIL else RunStatus.CANCELED
    yield Statement(
        "UPDATE tasks_run SET status = %s, ended_at = %s, lease_until = NULL"
        " WHERE task_id = %s AND NOT status = ANY(%s)",
        (ended.value, at, task.id, [status.value for status in RUN_FINAL]),
    )
    yield Statement(
        "DELETE FROM timers_timer WHERE subject_id IN (SELECT id FROM tasks_run WHERE task_id = %s)",
        (task.id,),
    )


@atomic()
def reopen_task(*, actor: Principal, task_id: UUID, reason: str, at: datetime) -> Task:
    """An administrator sends a completed or failed task out again, while attempts are left.

    Raises `AttemptsExhausted`, `IllegalTransition`, `NotFound`, `RoleTooLow`.
    """
    actor.require_role(Role.ADMIN)
    task = lock_task(actor=actor, task_id=task_id)
    if task.status in (Status.COMPLETED, Status.FAILED) and task.attempt >= task.max_attempts:
        raise AttemptsExhausted(f"All {task.max_attempts} attempts were used.")
    again = next_run(task=task, at=at)
    apply(
        task,
        Command.REOPEN,
        actor=actor,
        at=at,
        data={"run_id": str(again.id), "attempt": again.attempt, "reason": reason},
        columns={
            "attempt": again.attempt,
            "output": None,
            "worker_id": None,
            "close_reason": "",
            "sort_at": task.sort_at or place_in_queue(task, at),
        },
        also=[Insert(again)],
    )
    return task


@atomic()
def lapse_run(*, run_id: UUID, at: datetime) -> datetime | None:
    """The lease's timer: queue the run again if its lease is over, else say when to look again."""
    run = (
        Run.objects.filter(id=run_id)
        .select_related("task")
        .select_for_update(no_key=True, of=("task", "self"))
        .first()
    )
    if run is None or run.lease_until is None:
        return None
    if run.lease_until > at:
        return run.lease_until
    actor = principal.system("leases", run.organisation_id)
    give_back(run=run, command=Command.LAPSE, actor=actor, at=at, reason="lease_ended")
    return None


@atomic()
def breach_sla(*, task_id: UUID, clock: Clock, at: datetime) -> None:
    """An SLA clock's timer: flag the task and say so, once, unless it ended in time."""
    task = Task.objects.locked().filter(id=task_id).first()
    if task is not None and task.status not in CLOSED:
        _breach(task, clock, at)


def _breach_what_is_late(task: Task, at: datetime) -> None:
    """A task that is about to end, but late, says so first: its timers go with it."""
    for clock in Clock:
        due_at = due(task, clock)
        if due_at is not None and due_at <= at:
            _breach(task, clock, at)


def due(task: Task, clock: Clock) -> datetime | None:
    """When the clock runs out for the task; None where the contract does not set it."""
    return task.deadline if clock is Clock.DEADLINE else task.latency_due_at


def _breach(task: Task, clock: Clock, at: datetime) -> None:
    due_at, column = due(task, clock), BREACHED_AT[clock]
    if due_at is None or getattr(task, column) is not None:
        return
    data = {
        "breach": clock.value,
        "due_at": chain.format_time(due_at),
        "detected_at": chain.format_time(at),
    }
    actor = principal.system("sla", task.organisation_id)
    apply(task, Command.BREACH, actor=actor, at=at, data=data, columns={column: at})
