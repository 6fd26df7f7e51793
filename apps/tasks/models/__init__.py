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
    NEWEST_FIRST,
    SetHash,
    Task,
    TaskQuerySet,
)

__all__ = [
    "NEWEST_FIRST",
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
    "StoredFile",
    "Task",
    "TaskAttachment",
    "TaskQuerySet",
]
