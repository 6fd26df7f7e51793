"""Watch the two SLA clocks of a task: report once each that it is at risk, and breached."""

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
    """Name the two SLA clocks, as `data.breach` does."""

    DEADLINE = "deadline"
    TARGET_LATENCY = "target_latency"


# The share of a clock's time after which an open task is at risk.
AT_RISK = 0.8

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
    """Handle an SLA clock's timer: report that the open task is at risk, or breached.

    Each is reported once; a breached task is no longer reported as at risk. Return when the timer
    is due again, or None.
    """
    task = Task.objects.locked_nowait().filter(id=task_id).first()
    return None if task is None else _watch(task, clock, at)


@atomic()
def watch_slas(
    *, task_ids: Collection[UUID], clock: Clock, at: datetime
) -> dict[UUID, datetime | None]:
    """Run `watch_sla` for many tasks in one statement; locked tasks are left out."""
    tasks = list(Task.objects.locked_skip_locked().filter(id__in=task_ids).order_by("id"))
    with batched():
        return {task.id: _watch(task, clock, at) for task in tasks}


def _watch(task: Task, clock: Clock, at: datetime) -> datetime | None:
    times, check_at = clock_times(task, clock), next_check(task, clock)
    if times is None or check_at is None or task.status in CLOSED:
        return None
    if times.due_at <= at:
        _report_breach(task, clock, times, at)
    elif times.at_risk_at <= at:
        _report_risk(task, clock, times, at)
    return next_check(task, clock)


def report_breaches(task: Task, at: datetime) -> None:
    """Report the breached clocks of a task that is about to close, which deletes its timers."""
    for clock in Clock:
        times = clock_times(task, clock)
        if times is not None and times.due_at <= at:
            _report_breach(task, clock, times, at)


@dataclass(frozen=True, slots=True)
class ClockTimes:
    """Hold when a clock, which runs from the task's creation, is at risk and when it is due."""

    at_risk_at: datetime
    due_at: datetime


def clock_times(task: Task, clock: Clock) -> ClockTimes | None:
    """Return the clock's times for the task; None where the contract does not set it."""
    due_at = task.deadline_due_at if clock is Clock.DEADLINE else task.latency_due_at
    if due_at is None:
        return None
    return ClockTimes(task.created_at + AT_RISK * (due_at - task.created_at), due_at)


def next_check(task: Task, clock: Clock) -> datetime | None:
    """Return when to check the clock of an open task: when it is at risk, then when it is due.

    None: the clock is not set, or its breach was reported.
    """
    times = clock_times(task, clock)
    if times is None or getattr(task, BREACHED_AT[clock]) is not None:
        return None
    is_warned = getattr(task, AT_RISK_AT[clock]) is not None
    return times.due_at if is_warned else times.at_risk_at


def _report_risk(task: Task, clock: Clock, times: ClockTimes, at: datetime) -> None:
    if getattr(task, AT_RISK_AT[clock]) is None:
        at_risk_at = format_time(times.at_risk_at)
        data = {"clock": clock.value, "at_risk_at": at_risk_at, **_detection(times, at)}
        _report(task, Command.WARN, at, data, AT_RISK_AT[clock])


def _report_breach(task: Task, clock: Clock, times: ClockTimes, at: datetime) -> None:
    if getattr(task, BREACHED_AT[clock]) is None:
        data = {"breach": clock.value, **_detection(times, at)}
        _report(task, Command.BREACH, at, data, BREACHED_AT[clock])


def _detection(times: ClockTimes, at: datetime) -> dict[str, str]:
    return {"due_at": format_time(times.due_at), "detected_at": format_time(at)}


def _report(task: Task, command: Command, at: datetime, data: dict[str, str], column: str) -> None:
    actor = principal.system("sla", task.organisation_id)
    apply(task, command, actor=actor, at=at, data=data, columns={column: at})
