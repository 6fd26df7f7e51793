"""Diagnose a task or a run: what holds it, and what would move it on. Nothing is changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from apps.agents.models import AgentSession, SessionState
from apps.agents.selectors import RunView, run_views
from apps.operations.caller import Caller
from apps.operations.models import SchedulerState
from apps.operations.selectors import (
    LogView,
    SummaryView,
    latest_log,
    run_of,
    runs_of,
    summary_views,
    task_of,
)
from apps.tasks.models import RUN_FINAL, RUN_HELD, Run, RunStatus, Task
from biolayer.times import format_time

STUCK_AFTER = timedelta(seconds=120)
STRANDED_AFTER = timedelta(minutes=5)
MAX_RUNS, MAX_EVENTS = 5, 10
MISSING = "missing"
"""The state of a session that is not known."""

NextAction = Literal[
    "claim_available", "waiting_for_session", "stranded", "running", "recovery_required", "terminal"
]


class Finding(NamedTuple):
    """Say what is wrong with a run."""

    code: str
    severity: str
    title: str
    message: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BoundSession:
    """Hold the session that a run is bound to; None where it is not known."""

    id: str
    row: AgentSession | None

    @property
    def state(self) -> str:
        return MISSING if self.row is None else self.row.state


@dataclass(frozen=True, slots=True)
class InspectionView:
    """Hold the diagnosis of a task or a run at one time."""

    target: Literal["task", "run"]
    at: datetime
    summary: SummaryView
    # Of the task, the latest attempts first.
    runs: Sequence[RunView]
    current: RunView | None
    session: BoundSession | None
    # Oldest first.
    events: Sequence[LogView]
    scheduler: SchedulerState | None
    findings: Sequence[Finding]
    next_action: NextAction


def inspect_task(*, caller: Caller, task_id: str, at: datetime) -> InspectionView:
    """Return the diagnosis of a task. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    return _inspect(caller, task_of(caller, task_id), None, at)


def inspect_run(*, caller: Caller, run_id: str, at: datetime) -> InspectionView:
    """Return the diagnosis of a run. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    run = run_of(caller, run_id)
    return _inspect(caller, run.task, run, at)


def _inspect(caller: Caller, task: Task, asked: Run | None, at: datetime) -> InspectionView:
    runs = sorted(run_views(runs_of(task)), key=lambda one: one.run.attempt, reverse=True)
    current = _current(runs, asked)
    session = _session(task, current)
    scheduler = SchedulerState.objects.filter(organisation_id=task.organisation_id).first()
    fit = _Fit(task, is_paused=scheduler is not None and scheduler.paused_at is not None)
    findings = [] if current is None else list(_findings(current, runs, session, fit, at))
    events = latest_log(
        task,
        MAX_EVENTS,
        actor=caller.principal,
        run_id=None if asked is None else asked.id,
    )
    return InspectionView(
        target="task" if asked is None else "run",
        at=at,
        summary=summary_views(caller, [task])[0],
        runs=runs[:MAX_RUNS],
        current=current,
        session=session,
        events=events[::-1],
        scheduler=scheduler,
        findings=findings,
        next_action=_next_action(task, current, findings, fit),
    )


def _current(runs: Sequence[RunView], asked: Run | None) -> RunView | None:
    """Return the asked run, else the open run, else the newest. A task has one open run at most."""
    if asked is not None:
        return next(one for one in runs if one.run.id == asked.id)
    is_open = (one for one in runs if one.run.status not in RUN_FINAL)
    return next(is_open, runs[0] if runs else None)


def _session(task: Task, current: RunView | None) -> BoundSession | None:
    if current is None or not current.session_id:
        return None
    known = AgentSession.objects.filter(
        organisation_id=task.organisation_id, session_id=current.session_id
    )
    return BoundSession(current.session_id, known.first())


class _Fit:
    """Tell whether sessions could claim the runs of a task now; read when it is first asked."""

    def __init__(self, task: Task, *, is_paused: bool) -> None:
        self.is_paused = is_paused
        self._sessions = AgentSession.objects.filter(organisation_id=task.organisation_id)
        self._task = task

    def is_any_known(self) -> bool:
        return self._sessions.exists()

    def is_any_usable(self) -> bool:
        """Return whether a session is active in the task's workspace."""
        active = self._sessions.filter(state=SessionState.ACTIVE)
        return active.filter(workspace_id=self._task.pool_id).exists()


def heartbeat_of(run: Run) -> datetime | None:
    """Return the last sign of a run's holder; None where no one holds it."""
    if run.status not in RUN_HELD:
        return None
    return run.heartbeat_at or (run.claimed_at if run.status == RunStatus.CLAIMED else None)


def _findings(
    view: RunView,
    runs: Sequence[RunView],
    session: BoundSession | None,
    fit: _Fit,
    at: datetime,
) -> Iterator[Finding]:
    run, heartbeat = view.run, heartbeat_of(view.run)
    known = {"run_id": str(run.id), "task_id": view.task_id, "status": run.status}
    if run.status == RunStatus.CLAIMED and heartbeat and at - heartbeat > STUCK_AFTER:
        yield Finding(
            "task_run_stuck",
            "warn",
            "The run is stuck",
            "Its holder has sent no heartbeat for more than two minutes.",
            known
            | {"heartbeat_at": format_time(heartbeat), "threshold_seconds": _seconds(STUCK_AFTER)},
        )
    if run.status == RunStatus.CLAIMED and run.lease_until and run.lease_until <= at:
        yield Finding(
            "task_run_stale_lease",
            "error",
            "The lease has ended",
            "The run is claimed, but its lease has passed.",
            known | {"lease_until": format_time(run.lease_until), "as_of": format_time(at)},
        )
    # A finished run keeps the hash of its claim.
    if run.status not in RUN_FINAL and view.claim_token_hash and _is_gone(session):
        yield Finding(
            "task_run_orphan",
            "error",
            "The session is gone",
            "The session that claimed the run is not active any more.",
            known
            | {
                "session_id": view.session_id,
                "as_of": format_time(at),
                "session_state": MISSING if session is None else session.state,
            },
        )
    if run.status == RunStatus.FAILED and not _is_followed(run, runs):
        yield Finding(
            "task_run_crashed",
            "error",
            "The run failed",
            "It failed, and no later attempt was made.",
            known | {"attempt": run.attempt, "ended_at": format_time(run.ended_at or at)},
        )
    if _is_stranded(run, fit, at):
        yield Finding(
            "task_run_stranded",
            "warn",
            "No session can claim the run",
            "It has been queued for five minutes, and no active session is in its workspace.",
            known
            | {
                "queued_at": format_time(run.queued_at),
                "threshold_seconds": _seconds(STRANDED_AFTER),
            },
        )


def _seconds(length: timedelta) -> int:
    return int(length.total_seconds())


def _is_gone(session: BoundSession | None) -> bool:
    return session is None or session.state != SessionState.ACTIVE


def _is_followed(run: Run, runs: Sequence[RunView]) -> bool:
    return any(
        one.run.attempt > run.attempt and one.run.status != RunStatus.CANCELED for one in runs
    )


def _is_stranded(run: Run, fit: _Fit, at: datetime) -> bool:
    if run.status != RunStatus.QUEUED or at - run.queued_at < STRANDED_AFTER or fit.is_paused:
        return False
    return fit.is_any_known() and not fit.is_any_usable()


RECOVERED = {"task_run_stuck", "task_run_stale_lease", "task_run_orphan", "task_run_crashed"}


def _next_action(
    task: Task, current: RunView | None, findings: Sequence[Finding], fit: _Fit
) -> NextAction:
    codes = {finding.code for finding in findings}
    if codes & RECOVERED:
        return "recovery_required"
    if current is None:
        return "terminal" if task.closed_at is not None else "waiting_for_session"
    if current.run.status != RunStatus.QUEUED:
        return _OF_STATUS[current.run.status]
    if "task_run_stranded" in codes:
        return "stranded"
    is_available = not fit.is_paused and fit.is_any_usable()
    return "claim_available" if is_available else "waiting_for_session"


_OF_STATUS: Mapping[str, NextAction] = {
    RunStatus.NEEDS_ATTENTION.value: "recovery_required",
    **dict.fromkeys(map(str, RUN_HELD), "running"),
    **dict.fromkeys(map(str, RUN_FINAL), "terminal"),
}
