"""Store tasks, runs, requirements, dependencies, drafts, messages, evidence and attachments."""

from apps.tasks.models.dependencies import (
    Dependency,
)
from apps.tasks.models.drafts import (
    Draft,
)
from apps.tasks.models.files import (
    Attachment,
    Content,
    Evidence,
    FileState,
    StoredFile,
    TaskAttachment,
)
from apps.tasks.models.messages import (
    Message,
)
from apps.tasks.models.requirements import (
    PoolSet,
    Requirement,
)
from apps.tasks.models.retention import (
    LegalHold,
    Purge,
    RetentionChange,
)
from apps.tasks.models.runs import (
    RUN_FINAL,
    RUN_HELD,
    ReturnedRun,
    ReturnWay,
    Run,
    RunStatus,
)
from apps.tasks.models.tasks import (
    BREACHED,
    NEWEST_FIRST,
    OPEN_AT_RISK,
    SetHash,
    Standing,
    Task,
    TaskQuerySet,
    TitleWords,
)

__all__ = [
    "BREACHED",
    "NEWEST_FIRST",
    "OPEN_AT_RISK",
    "RUN_FINAL",
    "RUN_HELD",
    "Attachment",
    "Content",
    "Dependency",
    "Draft",
    "Evidence",
    "FileState",
    "LegalHold",
    "Message",
    "PoolSet",
    "Purge",
    "Requirement",
    "RetentionChange",
    "ReturnWay",
    "ReturnedRun",
    "Run",
    "RunStatus",
    "SetHash",
    "Standing",
    "StoredFile",
    "Task",
    "TaskAttachment",
    "TaskQuerySet",
    "TitleWords",
]
