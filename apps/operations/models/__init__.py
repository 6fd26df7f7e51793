"""Store what `/api` knows of tasks and runs besides the kernel, roll-ups, and the processes."""

from apps.operations.models.bridges import (
    MAX_ERROR_BYTES,
    BridgeCursor,
    BridgeDue,
    BridgeInstance,
    BridgeSubscription,
    DeliveryMode,
)
from apps.operations.models.details import (
    NO_CLAIM,
    ApprovalPolicy,
    ApprovalState,
    RunDetails,
    TaskDetails,
    TaskDetailsQuerySet,
)
from apps.operations.models.figures import (
    Counted,
    Flow,
    Granularity,
    Measure,
    Process,
    Recount,
    Stage,
    TaskChange,
    TaskCount,
    TaskTiming,
)
from apps.operations.models.forcing import ForceWindow
from apps.operations.models.listed import ListedCount, ListedTask, TouchedTask
from apps.operations.models.log import LogEntry
from apps.operations.models.profiles import ExecutionProfile
from apps.operations.models.run_reviews import RunReview, RunReviewQuerySet
from apps.operations.models.scheduler import SchedulerState
from apps.operations.models.triage import TriageState

__all__ = [
    "MAX_ERROR_BYTES",
    "NO_CLAIM",
    "ApprovalPolicy",
    "ApprovalState",
    "BridgeCursor",
    "BridgeDue",
    "BridgeInstance",
    "BridgeSubscription",
    "Counted",
    "DeliveryMode",
    "ExecutionProfile",
    "Flow",
    "ForceWindow",
    "Granularity",
    "ListedCount",
    "ListedTask",
    "LogEntry",
    "Measure",
    "Process",
    "Recount",
    "RunDetails",
    "RunReview",
    "RunReviewQuerySet",
    "SchedulerState",
    "Stage",
    "TaskChange",
    "TaskCount",
    "TaskDetails",
    "TaskDetailsQuerySet",
    "TaskTiming",
    "TouchedTask",
    "TriageState",
]
