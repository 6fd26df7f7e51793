"""Describe the fields of `/api` for operators: tasks, their runs and dependencies."""

from biolayer.field_descriptions import agents
from biolayer.field_descriptions.entries import Table
from biolayer.field_descriptions.examples import FROM_PARTS, TIME, UUID

MODELS = [
    "OwnerBody",
    "NewTaskBody",
    "TaskPatchBody",
    "RunRequestBody",
    "CancelBody",
    "DependencyBody",
    "PauseBody",
    "ResumeBody",
    "OperatorTask",
    "TaskAnswer",
    "RunAnswer",
    "TaskRunAnswer",
]

TASK = "task-5f1c0a9be3d24786"

FIELDS: Table = agents.FIELDS | {
    "id": ("The ID, which its creator may choose.", TASK),
    "title": ("The title.", "Draft the reply"),
    "identifier": ("The creator's own name for it; it need not be unique.", "IR-48219"),
    "workspace": ("The pool that the task is for, by ID or name; for a global task none.", "Ops"),
    "description": ("What is to be done.", "Draft a reply to the customer."),
    "metadata": ("Any JSON of the caller's: at most 16 KiB.", {"ticket": 48219}),
    "reason": ("Why, in words; the log keeps it.", "The supplier is closed."),
    "idempotency_key": ("The same key again returns the same run.", "start-17"),
    "max_attempts": ("How many runs the task may have.", 3),
    "approval_policy": ("Whether a person approves it before its first run.", "none"),
    "approval_state": ("Where the approval stands.", "not_required"),
    "auto_enqueue_on_ready": ("Whether a run is queued when its last dependency completes.", False),
    "draft": ("Whether it is a draft.", False),
    "clear_owner": ("Whether to remove the owner.", False),
    "depends_on_task_id": ("The task that is to be completed first.", TASK),
    "kind": ("The kind.", "blocks"),
    "created_by": ("Who created it.", FROM_PARTS),
    "origin": ("By which call it was made.", FROM_PARTS),
    "created_at": ("When it was created.", TIME),
    "updated_at": ("When it was last changed.", TIME),
    "closed_at": ("When it was finished.", TIME),
    "current_run_id": ("The run that is claimed, starting or running.", UUID),
    "parent_task_id": ("The task above it.", TASK),
    "paused_at": ("When it was paused.", TIME),
    "paused_by": ("Who paused it.", "human:api_key:Zk3TnQ8wLx0a"),
    "paused_reason": ("Why it is paused.", "The supplier is closed."),
}

TABLE: Table = {f"{model}.{name}": entry for name, entry in FIELDS.items() for model in MODELS} | {
    "OwnerBody.kind": ("What kind of party does it.", "pool"),
    "OwnerBody.ref": ("Which one: for a pool the name of an agent.", "drafter"),
}
