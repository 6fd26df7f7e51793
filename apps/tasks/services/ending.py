"""How a task goes on after its run: verified, completed, sent back, failed, cancelled."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.base.rows import Change, Insert, Statement
from apps.base.transactions import atomic
from apps.pools import services as pools
from apps.tasks.models import RUN_FINAL, Run, RunStatus, Task
from apps.tasks.requirements import kept, signature_of
from apps.tasks.services.assigning import next_run, place_in_queue
from apps.tasks.services.locks import lock_task
from apps.tasks.services.sla import breach_what_is_late
from apps.tasks.services.working import give_back
from apps.tasks.transitions import apply
from biolayer.errors import AttemptsExhausted
from biolayer.lifecycle import HELD, Command, Status


def verify_task(*, task: Task, actor: Principal, at: datetime) -> None:
    """The submitted output of a locked task passed its checks and is the caller's to see."""
    run = Run.objects.get(task_id=task.id, attempt=task.attempt)
    data = {"run_id": str(run.id), "worker_id": str(task.worker_id)}
    apply(task, Command.VERIFY, actor=actor, at=at, data=data, columns={"output": run.output})


def complete_task(*, task: Task, actor: Principal, at: datetime) -> None:
    """The verified output of a locked task is handed off."""
    breach_what_is_late(task, at)
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
    breach_what_is_late(task, at)
    also: list[Change] = [*_end_open_run(task, command, at)]
    if task.status in HELD:
        also.append(_relieved(task))
    apply(
        task,
        command,
        actor=actor,
        at=at,
        data={"reason": reason},
        columns={"close_reason": reason, "output": None},
        also=also,
    )


def _relieved(task: Task) -> Statement:
    """Its holder has the capacity again that the run took."""
    return Statement(
        "UPDATE pools_worker w SET load = w.load - r.units FROM tasks_run r"
        " WHERE r.task_id = %s AND w.id = r.worker_id AND NOT r.status = ANY(%s)",
        (task.id, [status.value for status in RUN_FINAL]),
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
    signature = signature_of(task)
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
            # What steps of a policy had dropped is asked for again: the row of it may be gone.
            "requirement_id": signature.id,
            "escalation_step": 0,
        },
        also=[Insert(again), kept(signature)],
    )
    return task


@atomic()
def lapse_run(*, run_id: UUID, at: datetime) -> datetime | None:
    """The lease's timer: queue the run again if its lease is over, else return when to look again.

    Raise `OperationalError` at once where others hold the run, its task or its worker.
    """
    run = (
        Run.objects.filter(id=run_id)
        .select_related("task")
        .select_for_update(no_key=True, of=("task", "self"), nowait=True)
        .first()
    )
    if run is None or run.lease_until is None:
        return None
    if run.lease_until > at:
        return run.lease_until
    pools.lock_at_once(worker_ids=[run.worker_id] if run.worker_id else [])
    actor = principal.system("leases", run.organisation_id)
    give_back(run=run, command=Command.LAPSE, actor=actor, at=at, reason="lease_ended")
    return None
