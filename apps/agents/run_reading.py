"""Read the runs of tasks of `/api` with their sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from apps.agents.models import AgentSession
from apps.agents.selectors import RunView, run_views
from apps.operations.caller import Caller
from apps.operations.selectors import (
    LogView,
    TaskView,
    latest_log,
    log_after,
    run_of,
    runs_of,
    subtree_of,
    task_of,
    task_view,
    task_views,
)
from apps.tasks.models import Run, Task


@dataclass(frozen=True, slots=True)
class RunDetailView:
    """Hold a run with its task, its session, and the latest event that is about it."""

    view: RunView
    task: TaskView
    session: AgentSession | None
    event: LogView | None


def task_runs(
    *, caller: Caller, task_id: str, status: str, session_id: str, limit: int
) -> list[RunView]:
    """Return the runs of a task, newest first; empty texts restrict nothing.

    Raise `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    views = run_views(runs_of(task_of(caller, task_id)))
    return [
        view
        for view in views
        if status in ("", view.run.status) and session_id in ("", view.session_id)
    ][:limit]


def run_detail(*, caller: Caller, run_id: str) -> RunDetailView:
    """Return a run as a whole. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    run = run_of(caller, run_id)
    view = run_views([run])[0]
    sessions = AgentSession.objects.filter(organisation_id=run.organisation_id)
    session = sessions.filter(session_id=view.session_id).first() if view.session_id else None
    events = latest_log(run.task, 1, actor=caller.principal, run_id=run.id)
    task = task_view(run.task, actor=caller.principal)
    return RunDetailView(view, task, session, events[0] if events else None)


@dataclass(frozen=True, slots=True)
class TimelineView:
    """Hold events with the present state of their tasks and runs."""

    events: Sequence[LogView]
    tasks: Sequence[TaskView]
    runs: Sequence[RunView]


def timeline(*, caller: Caller, task_id: str, after: int, limit: int) -> TimelineView:
    """Return the first events of a task after a number. Raise as `run_detail` does."""
    task = task_of(caller, task_id)
    events = log_after([task], after, limit, actor=caller.principal)
    return with_present_state(caller, [task], events)


def with_present_state(
    caller: Caller, tasks: Sequence[Task], events: Sequence[LogView]
) -> TimelineView:
    """Return events of these tasks with what they are about, in a few statements."""
    shown = {event.task for event in events}
    # Those below a task were found without their contents.
    partial = [task.id for task in tasks if task.id in shown and task.get_deferred_fields()]
    known = {task.id: task for task in tasks if task.id in shown} | Task.objects.in_bulk(partial)
    runs = list(Run.objects.filter(id__in={event.run_id for event in events if event.run_id}))
    for run in runs:
        run.task = known[run.task_id]
    views = task_views(list(known.values()), actor=caller.principal)
    return TimelineView(events, views, run_views(runs))


MAX_STREAMED = 256
"""Events of a page of a stream."""


@dataclass(frozen=True, slots=True)
class StreamPage:
    """Hold the next events of a task and those below it."""

    timeline: TimelineView
    task_ids: frozenset[UUID]
    has_more: bool


def stream_page(*, caller: Caller, task_id: str, after: int, until: int) -> StreamPage:
    """Return the events after a number, up to another one. Raise as `run_detail` does."""
    tasks = subtree_of(caller=caller, task_id=task_id)
    actor = caller.principal
    events = log_after(tasks, after, MAX_STREAMED + 1, actor=actor, until=until)
    return StreamPage(
        timeline=with_present_state(caller, tasks, events[:MAX_STREAMED]),
        task_ids=frozenset(task.id for task in tasks),
        has_more=len(events) > MAX_STREAMED,
    )
