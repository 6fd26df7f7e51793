"""Read the figures of operators."""

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
from apps.operations.selectors.organisations import open_tasks_of
from apps.operations.selectors.system import (
    DeliveryFigures,
    ProcessRow,
    RecountFigures,
    SystemFigures,
    register_drain,
    system,
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
    "Timing",
    "WaitingTask",
    "WorkerFigures",
    "board",
    "open_tasks_of",
    "register_drain",
    "system",
]
