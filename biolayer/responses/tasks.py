"""Define the responses about tasks."""

from typing import Any, Literal

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.events.tasks import OriginFacts, StatusName
from biolayer.responses.files import BriefingAttachment
from biolayer.responses.pages import Page
from biolayer.responses.problems import Problem
from biolayer.values import Format, Identifier, Timestamp, Urgency


class SlaBreach(OpenModel):
    breach: Literal["deadline", "target_latency"]
    due_at: Timestamp
    detected_at: Timestamp


class TaskSla(OpenModel):
    urgency: Urgency
    deadline: Timestamp | None
    target_latency_seconds: int | None


class WatchedSla(TaskSla):
    breaches: list[SlaBreach]


class TaskRequirements(OpenModel):
    skills: list[str]
    skill_levels: dict[str, int] = Field(
        description="The minimum level of required skills; 1 for skills not listed."
    )
    preferred_skills: list[str]
    languages: list[str]
    certifications: list[str]
    trust_level: int
    min_rating: float
    worker_pool_id: Identifier | None


class EscalatedRequirements(TaskRequirements):
    escalation: dict[str, Any] | None = Field(
        description="The task's own policy, as posted; null: the pool's policy."
    )


class OutputContract(OpenModel):
    expected_format: Format
    schema_: dict[str, Any] | None = Field(alias="schema")
    evidence_required: bool


class ShownAuth(OpenModel):
    """How deliveries authenticate. Every secret reads `redacted`."""

    type: Literal["none", "bearer", "basic", "header"]
    token: str | None = None
    username: str | None = None
    password: str | None = None
    name: str | None = None
    value: str | None = None


class TaskRetryPolicy(OpenModel):
    max_retries: int
    backoff_seconds: int


class TaskHandoff(OpenModel):
    callback_url: str | None
    callback_auth: ShownAuth
    retry_policy: TaskRetryPolicy | None


class TaskAudit(OpenModel):
    log_required: bool
    retain_days: int | None


class OpenReview(OpenModel):
    """That the output waits for a review."""

    review_id: Identifier
    due_at: Timestamp | None


class Task(OpenModel):
    """A task as product backends see it."""

    task_id: Identifier
    status: StatusName
    created_at: Timestamp
    updated_at: Timestamp
    closed_at: Timestamp | None
    close_reason: str | None
    purged_at: Timestamp | None = Field(
        description="When its content was deleted, at the end of its retention: texts are empty,"
        " `context` is `{}`, output and callback are null. Null: it was not."
    )
    attempt: int = Field(description="The present attempt; 0 before the task is first queued.")
    worker_id: Identifier | None
    origin: OriginFacts
    task_type: str
    domain: str
    title: str
    depends_on: list[Identifier]
    waiting_for: list[Identifier] = Field(
        description="The tasks of `depends_on` that are not completed and hold it at `created`."
    )
    instructions: str
    context: dict[str, Any]
    sla: WatchedSla
    requirements: EscalatedRequirements
    review: OpenReview | None
    review_policy: dict[str, Any] | None
    output: Any = Field(description="The verified result; null before `verified`.")
    output_contract: OutputContract
    handoff: TaskHandoff
    audit: TaskAudit


class DependencyResult(OpenModel):
    """A completed task that this one depends on."""

    task_id: Identifier
    title: str
    task_type: str
    output: Any = Field(description="The verified result; null if the task was reopened.")


class SentBack(OpenModel):
    """What a reviewer refused of an earlier attempt."""

    review_id: Identifier
    attempt: int
    reason: str
    pointers: list[str]
    output: Any = Field(description="What was submitted then.")


class Briefing(OpenModel):
    """A task as its worker sees it."""

    task_id: Identifier
    status: StatusName
    task_type: str
    domain: str
    title: str
    instructions: str
    context: dict[str, Any]
    attachments: list[BriefingAttachment]
    sla: TaskSla
    requirements: TaskRequirements
    sent_back: SentBack | None
    dependencies: list[DependencyResult]
    output: OutputContract


class TaskPage(Page):
    data: list[Task]


class TaskResult(OpenModel):
    """The result of one contract of a batch: its task, or the problem that refused it."""

    status: int = Field(
        description="201: created. 200: the product sent this request before. Other: refused."
    )
    task: Task | None = None
    problem: Problem | None = None


class TaskBatch(OpenModel):
    """The results of a batch, in the order of its contracts."""

    data: list[TaskResult]
    created: int = Field(description="The number of created tasks.")
    replayed: int = Field(description="The number of tasks that existed before, by natural key.")
    refused: int = Field(description="The number of refused contracts.")


class CancellationResult(OpenModel):
    """The result of one task of a bulk cancellation."""

    task_id: Identifier
    status: int = Field(description="200: it is cancelled. Other: refused, see `problem`.")
    problem: Problem | None = None


class BulkCancellation(OpenModel):
    """The results of a bulk cancellation, in the order of its tasks."""

    data: list[CancellationResult]
    cancelled: int = Field(description="The number of cancelled tasks, also of those before.")
    refused: int
