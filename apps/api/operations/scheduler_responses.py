"""Define the bodies that calls on the scheduler return."""

from apps.api.operations.read_responses import TaskSummary
from apps.api.operations.responses import Shape, TaskRun
from biolayer.values import Timestamp


class SchedulerShape(Shape):
    paused: bool
    active_claim_count: int
    queued_run_count: int
    paused_task_count: int
    starved_run_count: int
    needs_attention_run_count: int
    as_of: Timestamp
    paused_at: Timestamp | None = None
    paused_by: str = ""
    paused_reason: str = ""


class SchedulerAnswer(Shape):
    scheduler: SchedulerShape


class DrainAnswer(Shape):
    completed: bool
    remaining_claims: int
    started_at: Timestamp
    completed_at: Timestamp
    scheduler: SchedulerShape
    timed_out: bool = False


class BacklogItem(Shape):
    run: TaskRun
    task: TaskSummary


class BacklogShape(Shape):
    runs: list[BacklogItem]
    total: int


class BacklogAnswer(Shape):
    backlog: BacklogShape
