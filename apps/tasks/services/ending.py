"""How a task goes on after its run: verified, completed, sent back, failed, cancelled, late."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.base.rows import Change, Insert, Statement, together
from apps.base.transactions import atomic
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


AT_RISK = 0.8
"""The share of a clock's time after which an open task is at risk."""

AT_RISK_AT = {
    Clock.DEADLINE: "deadline_at_risk_at",
    Clock.TARGET_LATENCY: "latency_at_risk_at",
}
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
def watch_sla(*, task_id: UUID, clock: Clock, at: datetime) -> datetime | None:
    """An SLA clock's timer: say once that the open task is at risk, and once that it is late.

    Answers when to look again, None for never. What is late already is not said to be at risk.
    """
    task = Task.objects.locked().filter(id=task_id).first()
    return None if task is None else _watch(task, clock, at)


@atomic()
def watch_slas(
    *, task_ids: Collection[UUID], clock: Clock, at: datetime
) -> dict[UUID, datetime | None]:
    """`watch_sla` for many tasks in one statement. Answers for those that nobody else has locked."""
    tasks = list(Task.objects.passing_over_locked().filter(id__in=task_ids).order_by("id"))
    with together():
        return {task.id: _watch(task, clock, at) for task in tasks}


def _watch(task: Task, clock: Clock, at: datetime) -> datetime | None:
    times, look_at = times_of(task, clock), next_look(task, clock)
    if times is None or look_at is None or task.status in CLOSED:
        return None
    if times.due_at <= at:
        _breach(task, clock, times, at)
    elif times.at_risk_at <= at:
        _warn(task, clock, times, at)
    return next_look(task, clock)


def _breach_what_is_late(task: Task, at: datetime) -> None:
    """A task that is about to end, but late, says so first: its timers go with it."""
    for clock in Clock:
        times = times_of(task, clock)
        if times is not None and times.due_at <= at:
            _breach(task, clock, times, at)


@dataclass(frozen=True, slots=True)
class Times:
    """When an SLA clock that runs from the task's creation is told of."""

    at_risk_at: datetime
    due_at: datetime


def times_of(task: Task, clock: Clock) -> Times | None:
    """The clock's times for the task; None where the contract does not set it."""
    due_at = task.deadline if clock is Clock.DEADLINE else task.latency_due_at
    if due_at is None:
        return None
    return Times(task.created_at + AT_RISK * (due_at - task.created_at), due_at)


def next_look(task: Task, clock: Clock) -> datetime | None:
    """When the clock of an open task is to be looked at: when it is at risk, then when it is late.
    None: never, or never again.
    """
    times = times_of(task, clock)
    if times is None or getattr(task, BREACHED_AT[clock]) is not None:
        return None
    is_warned = getattr(task, AT_RISK_AT[clock]) is not None
    return times.due_at if is_warned else times.at_risk_at


def _warn(task: Task, clock: Clock, times: Times, at: datetime) -> None:
    if getattr(task, AT_RISK_AT[clock]) is None:
        at_risk_at = chain.format_time(times.at_risk_at)
        data = {"clock": clock.value, "at_risk_at": at_risk_at, **_seen(times, at)}
        _tell(task, Command.WARN, at, data, AT_RISK_AT[clock])


def _breach(task: Task, clock: Clock, times: Times, at: datetime) -> None:
    if getattr(task, BREACHED_AT[clock]) is None:
        data = {"breach": clock.value, **_seen(times, at)}
        _tell(task, Command.BREACH, at, data, BREACHED_AT[clock])


def _seen(times: Times, at: datetime) -> dict[str, str]:
    return {"due_at": chain.format_time(times.due_at), "detected_at": chain.format_time(at)}


def _tell(task: Task, command: Command, at: datetime, data: dict[str, str], column: str) -> None:
    actor = principal.system("sla", task.organisation_id)
    apply(task, command, actor=actor, at=at, data=data, columns={column: at})
