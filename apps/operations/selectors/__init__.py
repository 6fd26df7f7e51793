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
from apps.operations.selectors.find import run_of, task_id_of, task_of
from apps.operations.selectors.organisations import open_tasks_of
from apps.operations.selectors.system import (
    DeliveryFigures,
    ProcessRow,
    RecountFigures,
    SystemFigures,
    register_drain,
    system,
)
from apps.operations.selectors.views import (
    TaskView,
    coordination_channel_of,
    task_view,
    task_views,
    wire_ids,
)

__all__ = [
    "Board",
    "DeliveryFigures",
    "DomainFigures",
    "Figures",
    "FlowPoint",
    "PoolFigures",
    "ProcessRow",
    "RecountFigures",
    "SkillDemand",
    "SystemFigures",
    "TaskView",
    "Timing",
    "WaitingTask",
    "WorkerFigures",
    "board",
    "coordination_channel_of",
    "open_tasks_of",
    "register_drain",
    "run_of",
    "system",
    "task_id_of",
    "task_of",
    "task_view",
    "task_views",
    "wire_ids",
]
