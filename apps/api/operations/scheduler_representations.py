"""Represent the state of the scheduler, and what waits for it."""

from apps.api.operations import representations
from apps.api.operations import scheduler_responses as shapes
from apps.api.operations.read_representations import summaries
from apps.operations.caller import Caller
from apps.operations.selectors import Backlog, SchedulerView, summary_views
from apps.operations.services import Drain


def scheduler(view: SchedulerView) -> shapes.SchedulerShape:
    return shapes.SchedulerShape(
        paused=view.paused_at is not None,
        active_claim_count=view.held,
        queued_run_count=view.queued,
        paused_task_count=view.paused_tasks,
        starved_run_count=view.starved,
        needs_attention_run_count=view.needs_attention,
        as_of=view.as_of,
        paused_at=view.paused_at,
        paused_by=view.paused_by,
        paused_reason=view.reason,
    )


def drain(ended: Drain) -> shapes.DrainAnswer:
    is_completed = ended.remaining_claims == 0
    return shapes.DrainAnswer(
        completed=is_completed,
        timed_out=not is_completed,
        remaining_claims=ended.remaining_claims,
        started_at=ended.started_at,
        completed_at=ended.completed_at,
        scheduler=scheduler(ended.scheduler),
    )


def backlog(caller: Caller, found: Backlog) -> shapes.BacklogAnswer:
    """Return queued runs with their tasks, in their order."""
    tasks = summaries(summary_views(caller, [run.task for run in found.runs]))
    items = [
        shapes.BacklogItem(run=run, task=task)
        for run, task in zip(representations.runs(found.runs), tasks, strict=True)
    ]
    return shapes.BacklogAnswer(backlog=shapes.BacklogShape(runs=items, total=found.total))
