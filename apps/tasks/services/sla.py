"""The two SLA clocks of a task: told of once when it is at risk, and once when it is late."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from apps.accounts import principal
from apps.base.rows import batched
from apps.base.transactions import atomic
from apps.tasks.models import Task
from apps.tasks.transitions import apply
from biolayer.lifecycle import CLOSED, Command
from biolayer.times import format_time


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


@atomic()
def watch_sla(*, task_id: UUID, clock: Clock, at: datetime) -> datetime | None:
    """An SLA clock's timer: say once that the open task is at risk, and once that it is late.

    Answers when to look again, None for never. What is late already is not said to be at risk.
    """
    task = Task.objects.locked_at_once().filter(id=task_id).first()
    return None if task is None else _watch(task, clock, at)


@atomic()
def watch_slas(
    *, task_ids: Collection[UUID], clock: Clock, at: datetime
) -> dict[UUID, datetime | None]:
    """`watch_sla` for many tasks in one statement. Answers for those that nobody else has locked."""
    tasks = list(Task.objects.passing_over_locked().filter(id__in=task_ids).order_by("id"))
    with batched():
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


def breach_what_is_late(task: Task, at: datetime) -> None:
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
        at_risk_at = format_time(times.at_risk_at)
        data = {"clock": clock.value, "at_risk_at": at_risk_at, **_seen(times, at)}
        _tell(task, Command.WARN, at, data, AT_RISK_AT[clock])


def _breach(task: Task, clock: Clock, times: Times, at: datetime) -> None:
    if getattr(task, BREACHED_AT[clock]) is None:
        data = {"breach": clock.value, **_seen(times, at)}
        _tell(task, Command.BREACH, at, data, BREACHED_AT[clock])


def _seen(times: Times, at: datetime) -> dict[str, str]:
    return {"due_at": format_time(times.due_at), "detected_at": format_time(at)}


def _tell(task: Task, command: Command, at: datetime, data: dict[str, str], column: str) -> None:
    actor = principal.system("sla", task.organisation_id)
    apply(task, command, actor=actor, at=at, data=data, columns={column: at})
