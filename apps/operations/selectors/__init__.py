"""Read tasks and runs as `/api` shows them, and the figures of operators."""

from apps.operations.selectors.board import (
    Board,
    DomainFigures,
    Figures,
    FlowPoint,
    PoolFigures,
    SkillDemand,
    Timing,
    WaitingTask,
    WorkerFigures,
    board,
)
from apps.operations.selectors.dashboard import (
    ActiveRun,
    Dashboard,
    Latency,
    dashboard,
)
from apps.operations.selectors.find import run_of, task_id_of, task_of, task_of_run
from apps.operations.selectors.inbox import InboxItem, InboxLane, Triage, inbox
from apps.operations.selectors.listing import TaskFilters, task_list, workspace_id_of
from apps.operations.selectors.organisations import open_tasks_of
from apps.operations.selectors.profiles import ProfileView, profile_of
from apps.operations.selectors.scheduler import (
    Backlog,
    BacklogQuery,
    SchedulerView,
    backlog,
    scheduler_of,
)
from apps.operations.selectors.selection import TaskFilter
from apps.operations.selectors.sessions import register_sessions
from apps.operations.selectors.summaries import DependencyView, SummaryView, summary_views
from apps.operations.selectors.system import (
    DeliveryFigures,
    ProcessRow,
    RecountFigures,
    SystemFigures,
    register_drain,
    system,
)
from apps.operations.selectors.timeline import LogView, latest_log, log_after
from apps.operations.selectors.views import (
    TaskView,
    coordination_channel_of,
    task_view,
    task_views,
    views_of_run,
    wire_ids,
)
from apps.operations.selectors.whole import (
    TreeNode,
    WholeTask,
    runs_of,
    subtree_of,
    task_tree,
    whole,
    whole_task,
)

__all__ = [
    "ActiveRun",
    "Backlog",
    "BacklogQuery",
    "Board",
    "Dashboard",
    "DeliveryFigures",
    "DependencyView",
    "DomainFigures",
    "Figures",
    "FlowPoint",
    "InboxItem",
    "InboxLane",
    "Latency",
    "LogView",
    "PoolFigures",
    "ProcessRow",
    "ProfileView",
    "RecountFigures",
    "SchedulerView",
    "SkillDemand",
    "SummaryView",
    "SystemFigures",
    "TaskFilter",
    "TaskFilters",
    "TaskView",
    "Timing",
    "TreeNode",
    "Triage",
    "WaitingTask",
    "WholeTask",
    "WorkerFigures",
    "backlog",
    "board",
    "coordination_channel_of",
    "dashboard",
    "inbox",
    "latest_log",
    "log_after",
    "open_tasks_of",
    "profile_of",
    "register_drain",
    "register_sessions",
    "run_of",
    "runs_of",
    "scheduler_of",
    "subtree_of",
    "summary_views",
    "system",
    "task_id_of",
    "task_list",
    "task_of",
    "task_of_run",
    "task_tree",
    "task_view",
    "task_views",
    "views_of_run",
    "whole",
    "whole_task",
    "wire_ids",
    "workspace_id_of",
]
