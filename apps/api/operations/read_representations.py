"""Represent reads of tasks: summaries, whole tasks, trees, timelines and diagnoses."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from apps.agents.inspection import BoundSession, InspectionView, heartbeat_of
from apps.agents.run_reading import RunDetailView, TimelineView
from apps.agents.selectors import CallingSession, RunView, run_views
from apps.api.operations import read_responses as shapes
from apps.api.operations import representations
from apps.api.operations.errors import redacted
from apps.api.operations.representations import task_reference
from apps.api.operations.responses import Diagnostic, RunActor, RunOrigin
from apps.operations.selectors import (
    DependencyView,
    LogView,
    SummaryView,
    TaskView,
    TreeNode,
    WholeTask,
)

MAX_ERROR_BYTES = 160
SUCCESS = {"task.run_started", "task.run_completed", "task.run_review_approved"}
FAILURE = {
    "task.run_failed",
    "task.run_operator_forced_fail",
    "task.run_review_rejected",
    "task.run_review_error",
    "task.run_review_invalid_output",
}
WARNING = {
    "task.run_canceled",
    "task.run_force_stopped",
    "task.run_recovered",
    "task.run_rejected",
    "task.run_lease_expired",
    "task.run_starved",
    "task.run_needs_attention",
    "task.run_review_blocked",
    "task.run_review_timeout",
}

Runs = Mapping[UUID, shapes.RunSummary]


def run_summary(view: RunView) -> shapes.RunSummary:
    """Return a run as tasks and timelines show it."""
    shown = representations.run_of_view(view)
    same = {name: getattr(shown, name) for name in SAME}
    return shapes.RunSummary(**same, max_attempts=view.run.task.max_attempts)


SAME = shapes.RunSummary.model_fields.keys() - {"max_attempts"}


def summaries(views: Sequence[SummaryView]) -> list[shapes.TaskSummary]:
    """Return tasks as lists show them; their runs are read at once."""
    runs = _open_runs([one.view for one in views])
    return [_summary(one, runs) for one in views]


def _open_runs(views: Iterable[TaskView]) -> Runs:
    rows = []
    for view in views:
        if view.run is not None:
            view.run.task = view.task
            rows.append(view.run)
    return {one.run.task_id: run_summary(one) for one in run_views(rows)}


def _summary(shown: SummaryView, runs: Runs) -> shapes.TaskSummary:
    return shapes.TaskSummary(
        **representations.shared_fields(shown.view),
        active_run=runs.get(shown.view.task.id),
        child_count=shown.child_count,
        dependency_count=len(shown.dependencies),
        dependencies=[_reference(one) for one in shown.dependencies],
        last_activity_at=shown.view.last_activity_at,
    )


def _reference(edge: DependencyView) -> shapes.TaskDependencyReference:
    return shapes.TaskDependencyReference(
        task_id=edge.task_id,
        depends_on_task_id=edge.depends_on.id,
        kind="blocks",
        created_at=edge.created_at,
        depends_on=task_reference(edge.depends_on),
    )


def _edge(edge: DependencyView) -> shapes.TaskDependencyEdge:
    return shapes.TaskDependencyEdge(
        task_id=edge.task_id,
        depends_on_task_id=edge.depends_on.id,
        kind="blocks",
        created_at=edge.created_at,
    )


def whole(found: WholeTask) -> shapes.TaskViewAnswer:
    """Return a task with all that belongs to it."""
    view = found.summary.view
    summary, *children = summaries([found.summary, *found.children])
    return shapes.TaskViewAnswer(
        task=shapes.TaskView(
            task=representations.task_of_view(view),
            summary=summary,
            children=children,
            dependencies=[_edge(one) for one in found.summary.dependencies],
            dependency_references=[_reference(one) for one in found.summary.dependencies],
            events=[_event(one, view.id) for one in found.events],
            runs=representations.runs(found.runs),
        )
    )


def _event(event: LogView, task_id: str) -> shapes.TaskEvent:
    return shapes.TaskEvent(
        id=event.id,
        task_id=task_id,
        event_type=event.type,
        actor=RunActor(kind=event.actor[0], ref=event.actor[1]),
        origin=RunOrigin(kind=event.origin[0], ref=event.origin[1]),
        timestamp=event.at,
        payload=event.payload or None,
        run_id=_text(event.run_id),
    )


def tree(nodes: Sequence[TreeNode]) -> shapes.TaskTreeAnswer:
    """Return a tree, whose root is the first node."""
    runs = _open_runs([node.view for node in nodes])
    root, *below = [
        shapes.TaskTreeNode(
            task=task_reference(node.view),
            depth=node.depth,
            last_activity_at=node.view.last_activity_at,
            active_run=runs.get(node.view.task.id),
            child_count=node.child_count,
            parent_task_id=node.view.parent_id,
        )
        for node in nodes
    ]
    return shapes.TaskTreeAnswer(tree=shapes.TaskTreeView(root=root, descendants=below))


def run_detail(found: RunDetailView) -> shapes.RunDetailAnswer:
    """Return a run as a whole."""
    run, event = found.view.run, found.event
    times = [run.queued_at, run.claimed_at, run.started_at, run.ended_at]
    times.append(None if event is None else event.at)
    return shapes.RunDetailAnswer(
        run=shapes.RunDetail(
            run=representations.run_of_view(found.view),
            summary=shapes.RunUsage(
                last_activity_at=max(time for time in times if time is not None),
                last_event_type="" if event is None else event.type,
            ),
            task=task_reference(found.task),
            session=None if found.session is None else _run_session(found.session),
        )
    )


def _run_session(row: CallingSession) -> shapes.RunSession:
    return shapes.RunSession(
        session_id=row.session_id,
        name=row.session_id,
        agent_name=row.agent_name,
        channel=row.channel,
        state=row.state,
        workspace_id=_text(row.workspace_id),
        created_at=row.created_at,
        updated_at=row.ended_at or row.last_seen_at,
    )


def timeline(found: TimelineView) -> shapes.Timeline:
    """Return events with the present state of what they are about."""
    return shapes.Timeline(timeline=timeline_items(found))


def timeline_items(found: TimelineView) -> list[shapes.TimelineItem]:
    """Return the items of a timeline, in its order."""
    tasks = {view.task.id: task_reference(view) for view in found.tasks}
    runs = {view.run.id: run_summary(view) for view in found.runs}
    return [
        shapes.TimelineItem(
            sequence=event.sequence,
            event_id=event.id,
            event_type=event.type,
            task=tasks[event.task],
            actor=RunActor(kind=event.actor[0], ref=event.actor[1]),
            origin=RunOrigin(kind=event.origin[0], ref=event.origin[1]),
            timestamp=event.at,
            payload=event.payload or None,
            run=None if event.run_id is None else runs.get(event.run_id),
        )
        for event in found.events
    ]


def inspection(found: InspectionView) -> shapes.InspectAnswer:
    """Return a diagnosis."""
    current = None if found.current is None else _inspected_run(found.current, found)
    return shapes.InspectAnswer(
        inspect=shapes.Inspection(
            target=found.target,
            as_of=found.at,
            task=summaries([found.summary])[0],
            scheduler=_scheduler(found),
            next_action=found.next_action,
            bound_session=None if found.session is None else _bound_session(found.session),
            current_run=current,
            diagnostics=[
                Diagnostic(
                    id=f"task.inspect.{one.code}.{current.run_id}",
                    code=one.code,
                    category="task",
                    severity=one.severity,
                    data_freshness="live",
                    title=one.title,
                    message=one.message,
                    evidence=dict(one.evidence),
                )
                for one in found.findings
                if current is not None
            ],
            recent_events=[_inspected_event(one, found) for one in found.events],
            recent_runs=[_inspected_run(one, found) for one in found.runs],
        )
    )


def _scheduler(found: InspectionView) -> shapes.InspectedScheduler:
    state = found.scheduler
    if state is None or state.paused_at is None:
        return shapes.InspectedScheduler(paused=False)
    return shapes.InspectedScheduler(
        paused=True,
        paused_at=state.paused_at,
        paused_by=f"{state.paused_by_kind}:{state.paused_by_ref}",
        reason=state.reason,
        updated_at=state.paused_at,
    )


def _bound_session(bound: BoundSession) -> shapes.InspectedSession:
    row = bound.row
    if row is None:
        return shapes.InspectedSession(session_id=bound.id, state=bound.state)
    return shapes.InspectedSession(
        session_id=bound.id,
        agent_name=row.agent_name,
        last_activity_at=row.last_seen_at,
        started_at=row.created_at,
        state=bound.state,
        workspace_id=_text(row.workspace_id),
    )


def _inspected_run(view: RunView, found: InspectionView) -> shapes.InspectedRun:
    run = representations.run_of_view(view)
    heartbeat = heartbeat_of(view.run)
    is_failed = run.status == "failed" and bool(run.error)
    return shapes.InspectedRun(
        run_id=run.id,
        task_id=run.task_id,
        status=run.status,
        attempt=run.attempt,
        queued_at=run.queued_at,
        bound_session_id=run.session_id,
        claim_token_hash_truncated=run.claim_token_hash.removeprefix("sha256:")[:8],
        ended_at=run.ended_at,
        failure_kind=run.failure_kind or ("error" if is_failed else ""),
        heartbeat_age_seconds=(
            0 if heartbeat is None else max(0, int((found.at - heartbeat).total_seconds()))
        ),
        heartbeat_at=run.heartbeat_at,
        last_error_summary=run.error.encode()[:MAX_ERROR_BYTES].decode(errors="ignore"),
        lease_until=run.lease_until,
        previous_run_id=run.previous_run_id or _reviewed_run(view),
        retries=run.attempt - 1,
        started_at=run.started_at,
    )


def _reviewed_run(view: RunView) -> str:
    """Return the run whose review has queued this one."""
    return "" if view.details is None else _text(view.details.reviewed_run_id)


def _inspected_event(event: LogView, found: InspectionView) -> shapes.InspectedEvent:
    payload = event.payload if isinstance(event.payload, dict) else {}
    words = payload.get("error") or payload.get("reason") or ""
    return shapes.InspectedEvent(
        id=event.id,
        type=event.type,
        timestamp=event.at,
        outcome=outcome_of(event.type),
        run_id=_text(event.run_id),
        session_id=str(payload.get("session_id", "")),
        summary=redacted(str(words)),
        task_id=found.summary.view.id,
    )


def outcome_of(event_type: str) -> shapes.Outcome:
    """Return how good or bad what an event tells is."""
    if event_type in SUCCESS:
        return "success"
    if event_type in FAILURE:
        return "failure"
    return "warning" if event_type in WARNING else "info"


def _text(value: UUID | None) -> str:
    return "" if value is None else str(value)
