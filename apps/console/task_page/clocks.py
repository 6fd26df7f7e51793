"""Say how the SLA clocks of a task stand."""

from datetime import datetime
from typing import Any, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.tasks.services.sla import AT_RISK_AT, BREACHED_AT, Clock, clock_times
from biolayer.lifecycle import CLOSED

TITLES = {Clock.DEADLINE: _("Deadline"), Clock.TARGET_LATENCY: _("Target latency")}
STATES = {
    "running": _("Running"),
    "at_risk": _("At risk"),
    "breached": _("Breached"),
    "met": _("Met"),
}


class ShownClock(NamedTuple):
    """Hold a clock with its times; `state` is a key of `STATES`."""

    title: str | Promise
    state: str
    text: str | Promise
    due_at: datetime
    at_risk_at: datetime
    breached_at: datetime | None
    is_open: bool


def clocks_of(task: Any, at: datetime) -> list[ShownClock]:
    """Return the clocks that the task's contract sets."""
    shown = []
    for clock in Clock:
        times = clock_times(task, clock)
        if times is None:
            continue
        breached_at = getattr(task, BREACHED_AT[clock])
        is_open = task.status not in CLOSED
        state = "running" if is_open else "met"
        if breached_at is not None or (is_open and times.due_at <= at):
            state = "breached"
        elif is_open and (getattr(task, AT_RISK_AT[clock]) or times.at_risk_at <= at):
            state = "at_risk"
        shown.append(
            ShownClock(
                TITLES[clock],
                state,
                STATES[state],
                times.due_at,
                times.at_risk_at,
                breached_at,
                is_open and times.due_at > at,
            )
        )
    return shown
