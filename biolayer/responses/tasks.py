"""What `/v1` answers: the shapes that the OpenAPI document shows and a client may read with.

Like events they are open: fields are only ever added, and what a model does not name it lets through.
"""

from typing import Any, Literal

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.events.tasks import OriginFacts, StatusName
from biolayer.values import Format, Identifier, Timestamp, Urgency


class ProblemFault(OpenModel):
    pointer: str = Field(description="A JSON Pointer (RFC 6901) into the request.")
    code: str
    detail: str


class Problem(OpenModel):
    """Every refusal (RFC 9457): `code` is for programs and stable, `detail` for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemFault] | None = Field(
        default=None, description="With `invalid_input`: every fault of the request at once."
    )


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
        description="The least level of a skill; 1 where it is none."
    )
    preferred_skills: list[str]
    languages: list[str]
    certifications: list[str]
    trust_level: int
    min_rating: float
    worker_pool_id: Identifier | None


class EscalatedRequirements(TaskRequirements):
    escalation: dict[str, Any] | None = Field(description="As posted; null: the pool's policy.")


class OutputContract(OpenModel):
    expected_format: Format
    schema_: dict[str, Any] | None = Field(alias="schema")
    evidence_required: bool


class ShownAuth(OpenModel):
    """How a callback authenticates; every secret reads `redacted`."""

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


class Task(OpenModel):
    """A task as its caller sees it."""

    task_id: Identifier
    status: StatusName
    created_at: Timestamp
    updated_at: Timestamp
    closed_at: Timestamp | None
    close_reason: str | None
    attempt: int = Field(description="0 before it is first queued.")
    worker_id: Identifier | None
    origin: OriginFacts
    task_type: str
    domain: str
    title: str
    depends_on: list[Identifier]
    waiting_for: list[Identifier] = Field(
        description="Those that are not completed and hold it at `created`."
    )
    instructions: str
    context: dict[str, Any]
    sla: WatchedSla
    requirements: EscalatedRequirements
    output: Any = Field(description="The verified result; null before `verified`.")
    output_contract: OutputContract
    handoff: TaskHandoff
    audit: TaskAudit


class Actor(OpenModel):
    kind: str
    id: str


class Event(OpenModel):
    """One entry of a task's log, chained to the one before by its hash."""

    task_id: Identifier
    sequence: int
    type: str
    timestamp: Timestamp
    status: StatusName
    previous_status: StatusName | None
    actor: Actor
    data: dict[str, Any]
    prev_hash: str
    hash: str


class DependencyResult(OpenModel):
    """A task that was done before, for this one to build on."""

    task_id: Identifier
    title: str
    task_type: str
    output: Any = Field(description="Its verified result; null should it have been reopened.")


class Briefing(OpenModel):
    """A task as its worker sees it."""

    task_id: Identifier
    status: StatusName
    task_type: str
    domain: str
    title: str
    instructions: str
    context: dict[str, Any]
    sla: TaskSla
    requirements: TaskRequirements
    dependencies: list[DependencyResult]
    output: OutputContract


class Offer(OpenModel):
    offer_id: Identifier
    status: Literal["open"]
    offered_at: Timestamp
    expires_at: Timestamp
    task: Briefing


class DeclinedOffer(OpenModel):
    offer_id: Identifier
    status: Literal["declined"]


class Run(OpenModel):
    """One attempt. `epoch` goes with every call on it."""

    run_id: Identifier
    task_id: Identifier
    status: Literal[
        "queued",
        "claimed",
        "starting",
        "running",
        "completed",
        "failed",
        "canceled",
        "needs_attention",
    ]
    attempt: int
    epoch: int
    lease_until: Timestamp | None
    started_at: Timestamp | None
    ended_at: Timestamp | None


class HeldRun(Run):
    task: Briefing


class RunChanged(OpenModel):
    run: Run


class RunWithTask(RunChanged):
    task: Briefing


class Evidence(OpenModel):
    evidence_id: Identifier
    run_id: Identifier
    filename: str
    content_type: str = Field(description="As its bytes say.")
    size: int
    sha256: str
    created_at: Timestamp


class Page(OpenModel):
    """A page of a list. `next_cursor` takes it on; null on the last page."""

    data: list[Any]
    next_cursor: str | None


class TaskPage(Page):
    data: list[Task]


class EventPage(Page):
    data: list[Event]


class OfferPage(Page):
    data: list[Offer]


class FeedItem(Event):
    cursor: str = Field(description="The place after this event.")
    webhook: dict[str, Any] | None = Field(
        default=None, description="With `payload=webhook`: the body that webhooks tell of it."
    )


class FeedPage(Page):
    data: list[FeedItem]
    next_cursor: str = Field(description="Where to read on; there is always one.")
    has_more: bool


class EventConsumer(OpenModel):
    """A reader of the feed whose place is remembered."""

    name: str
    types: list[str] | None = Field(description="Null: every type.")
    cursor: str
    lag: int = Field(description="How many wanted events lie before it.")
    lag_is_exact: bool = Field(description="False: there are at least so many.")
    created_at: Timestamp
    moved_at: Timestamp


class EventConsumerPage(Page):
    data: list[EventConsumer]


class RunPage(Page):
    data: list[HeldRun]


class OpenApiDocument(OpenModel):
    """An OpenAPI 3.1 document."""

    openapi: str


class TaskResult(OpenModel):
    """What became of one contract of a batch: its task, or the problem that refused it."""

    status: int = Field(
        description="201: created. 200: the same product sent this request before. Else: refused."
    )
    task: Task | None = None
    problem: Problem | None = None


class TaskBatch(OpenModel):
    """The results of a batch, in the order of its contracts."""

    data: list[TaskResult]
    created: int = Field(description="How many tasks were created.")
    replayed: int = Field(description="How many had been created before by the same request.")
    refused: int = Field(description="How many contracts were refused.")
