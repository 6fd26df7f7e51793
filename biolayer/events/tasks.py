"""Define the events of a task. Their data are those of its log, with the task's main fields."""

from typing import Annotated, Any, Literal

from pydantic import Field

from biolayer.events.envelope import Envelope, MarkedFacts, OpenModel, Sequence
from biolayer.values import CannotDo, Identifier, Moment, Timestamp

StatusName = Annotated[
    Literal[
        "draft",
        "created",
        "queued",
        "matched",
        "offered",
        "accepted",
        "started",
        "submitted",
        "verified",
        "completed",
        "failed",
        "cancelled",
    ],
    Field(title="status"),
]


class OriginFacts(OpenModel):
    org_id: Identifier
    product: str = Field(description="Empty if the contract named none.")
    request_id: str | None
    created_by: str
    created_at: Timestamp


class TaskFacts(MarkedFacts):
    """The fields that all events of a task share."""

    task_id: Identifier
    sequence: Sequence
    status: StatusName = Field(description="The status after the event.")
    previous_status: StatusName | None = Field(
        description="Null in the first event; equal to `status` in events that do not change it."
    )
    origin: OriginFacts
    task_type: str
    domain: str
    title: str


class CreatedFacts(TaskFacts):
    status: Literal["created"]


class QueuedFacts(TaskFacts):
    status: Literal["queued"]
    run_id: Identifier | None = Field(
        default=None,
        description="The waiting run, or the failed one (`run_failed`). Omitted when an offer"
        " ended.",
    )
    attempt: int | None = Field(
        default=None,
        ge=1,
        description="The new attempt: when first queued, and after a rework or a reopening.",
    )
    offer_id: Identifier | None = Field(default=None, description="The offer that ended.")
    worker_id: Identifier | None = Field(
        default=None, description="The worker whose offer ended, or that held the run."
    )
    reason: str | None = Field(
        default=None,
        description="Why the task is queued again: `offer_declined`, `offer_expired`,"
        " `lease_ended`, `run_failed`, or the reason of a release, a rework, a reopening or an"
        " operator who took the task back. Omitted when first queued.",
    )
    code: CannotDo | None = Field(
        default=None,
        description="Why the worker cannot do the task, where it declined or released it with a"
        " code.",
    )


class MatchedFacts(TaskFacts):
    status: Literal["matched"]
    worker_id: Identifier


class OfferedTo(OpenModel):
    offer_id: Identifier
    worker_id: Identifier


class OfferedFacts(TaskFacts):
    status: Literal["offered"]
    offer_id: Identifier
    worker_id: Identifier
    expires_at: Moment = Field(description="When the offer expires.")
    offers: list[OfferedTo] | None = Field(
        default=None,
        description="With a broadcast: all offers, including the one above.",
    )


class AcceptedFacts(TaskFacts):
    status: Literal["accepted"]
    run_id: Identifier
    worker_id: Identifier
    attempt: int = Field(ge=1)
    offer_id: Identifier | None = Field(
        default=None, description="Omitted when an agent claimed the task without an offer."
    )


class StartedFacts(TaskFacts):
    status: Literal["started"]
    run_id: Identifier
    worker_id: Identifier


class SubmittedFacts(TaskFacts):
    status: Literal["submitted"]
    run_id: Identifier
    worker_id: Identifier
    evidence: list[Identifier] = Field(description="IDs of the files that belong to the output.")
    review_id: Identifier | None = Field(
        default=None, description="The review that the output waits for; omitted without one."
    )


class VerifiedFacts(TaskFacts):
    status: Literal["verified"]
    run_id: Identifier
    worker_id: Identifier
    output: Any = Field(description="The result. It satisfies the contract's schema.")


class CompletedFacts(TaskFacts):
    status: Literal["completed"]
    worker_id: Identifier
    output: Any = Field(description="The result. It satisfies the contract's schema.")


class FailedFacts(TaskFacts):
    status: Literal["failed"]
    reason: str = Field(
        description="`attempts_exhausted` after the last rework, `run_failed` with the last"
        " attempt, `nobody_found` at the end of an escalation policy, `dependency_failed`,"
        " `dependency_cancelled`, `rejected` by a reviewer, `reworks_exhausted` where the review"
        " policy allows no further rework."
    )
    run_id: Identifier | None = Field(default=None, description="The failed run, if a run failed.")
    worker_id: Identifier | None = Field(default=None, description="The worker that held that run.")


class CancelledFacts(TaskFacts):
    status: Literal["cancelled"]
    reason: str = Field(description="The caller's reason; may be empty.")


class BreachedFacts(TaskFacts):
    breach: Literal["deadline", "target_latency"] = Field(description="The clock that ran out.")
    due_at: Moment
    detected_at: Moment
    output: Any = Field(default=None, description="Only where the task is verified already.")


class AtRiskFacts(TaskFacts):
    clock: Literal["deadline", "target_latency"] = Field(description="The clock that is at risk.")
    at_risk_at: Moment = Field(description="When 80 % of the clock's time had passed.")
    due_at: Moment
    detected_at: Moment
    output: Any = Field(default=None, description="Only where the task is verified already.")


class EscalatedFacts(TaskFacts):
    step: int = Field(description="The step that was taken, counted from 1.")
    at_end: Literal["notify"] | None = Field(
        default=None, description="The policy has ended, and no worker accepted."
    )
    after_seconds: int | None = Field(
        default=None, description="Seconds since the task was first queued."
    )
    drop_preferred_skills: bool | None = None
    drop_certifications: bool | None = None
    lower_trust_level_by: int | None = None
    lower_min_rating_by: float | None = None
    widen_to_pools: list[Identifier] | None = None
    mode: Literal["sequential", "broadcast"] | None = None
    broadcast_to: int | None = None
    boost_seconds: int | None = None
    notify: bool | None = None


class MessageFacts(TaskFacts):
    message_id: Identifier
    author_kind: Literal["requester", "worker"] = Field(description="Who wrote it.")
    worker_id: Identifier | None = Field(default=None, description="The worker, if one wrote it.")
    output: Any = Field(default=None, description="Only where the task is verified already.")


class UpdatedFacts(TaskFacts):
    changes: dict[str, Any] = Field(
        description="The new value of each changed member of the contract, by JSON Pointer."
    )
    boost_seconds: int | None = Field(
        default=None,
        description="By how much the task was moved ahead in the queue; negative: back.",
    )
    reason: str | None = Field(default=None, description="The operator's words.")
    output: Any = Field(default=None, description="Only where the task is verified already.")


class HeldFacts(TaskFacts):
    status: Literal["created"]
    run_id: Identifier | None = Field(
        default=None, description="The run that ended or waits again; the new one after an end."
    )
    worker_id: Identifier | None = Field(
        default=None, description="The worker that held the run, if one did."
    )
    attempt: int | None = Field(default=None, ge=1, description="The new attempt, if one began.")
    cause: Literal["released", "lapsed", "recalled", "failed", "rework", "reopened"] = Field(
        description="What happened to the run, or to the task."
    )
    reason: str | None = Field(default=None, description="The words of who caused it.")


class ReviewFacts(TaskFacts):
    """The fields that all events of a review share."""

    status: Literal["submitted"]
    review_id: Identifier
    run_id: Identifier
    worker_id: Identifier = Field(description="The worker whose output is reviewed.")
    attempt: int = Field(ge=1)
    round: int = Field(ge=1, description="1, 2, 3 …: the reviews of the task.")


class ReviewRequestedFacts(ReviewFacts):
    cause: Literal["all", "first_tasks", "below_rating", "sample"] = Field(
        description="Why the output is reviewed: the policy's mode, a worker who is new in the pool"
        " or has a low rating, or the drawing."
    )
    due_at: Moment | None = Field(description="When it is overdue; null: never.")
    auto_approve_at: Moment | None = Field(
        description="When the policy approves it, unless a person decided; null: never."
    )


class ReviewDecidedFacts(ReviewFacts):
    verdict: Literal["approved", "rework", "rejected", "auto_approved"]
    next_status: Literal["verified", "queued", "failed"] = Field(
        description="The task's status by the event that follows."
    )
    rating: int | None = Field(default=None, ge=1, le=5, description="Of the work; null: none.")
    reason: str | None = Field(default=None, description="The reviewer's words.")


class ReviewOverdueFacts(ReviewFacts):
    due_at: Moment
    detected_at: Moment


class TaskCreated(Envelope):
    """Sent when a task is created, or a draft is published. No worker has got an offer yet. No
    action is needed; store `task_id` if you do not have it.
    """

    type: Literal["task.created"]
    data: CreatedFacts


class TaskQueued(Envelope):
    """Sent when a task is queued: for the first time, or again because an offer ended, a run was
    released, failed or taken back, a reviewer requested rework, or an administrator reopened it.
    `reason` says why. No action is needed; discard what earlier events said about a worker.
    """

    type: Literal["task.queued"]
    data: QueuedFacts


class TaskMatched(Envelope):
    """Sent when an eligible worker is reserved. `task.offered` follows immediately."""

    type: Literal["task.matched"]
    data: MatchedFacts


class TaskOffered(Envelope):
    """Sent when a worker gets an offer, which it may accept until `expires_at`. If no worker
    accepts, `task.queued` follows.
    """

    type: Literal["task.offered"]
    data: OfferedFacts


class TaskAccepted(Envelope):
    """Sent when a worker accepts an offer, or an agent claims the task. You can inform your user
    that the task has a worker.
    """

    type: Literal["task.accepted"]
    data: AcceptedFacts


class TaskStarted(Envelope):
    """Sent when the worker starts. From now on a cancellation discards work."""

    type: Literal["task.started"]
    data: StartedFacts


class TaskSubmitted(Envelope):
    """Sent when the worker submits an output that satisfies the schema, with evidence if the
    contract requires it. The output is not visible until it is verified; with a `review_id`, a
    review comes first. The task can no longer be cancelled.
    """

    type: Literal["task.submitted"]
    data: SubmittedFacts


class TaskVerified(Envelope):
    """Sent when the output has passed its checks and, if a policy requires it, a review. `output`
    contains the result. `task.completed` follows; act on that event.
    """

    type: Literal["task.verified"]
    data: VerifiedFacts


class TaskCompleted(Envelope):
    """Sent when the task is completed. `output` contains the result; continue your own process. If
    an administrator reopens the task, `task.queued` and later another `task.completed` follow.
    """

    type: Literal["task.completed"]
    data: CompletedFacts


class TaskFailed(Envelope):
    """Sent when the task fails: `reason` says why. There is no output. Post another task, or use
    your process without a human.
    """

    type: Literal["task.failed"]
    data: FailedFacts


class TaskCancelled(Envelope):
    """Sent when the task is cancelled before an output was submitted. No other event of this group
    follows.
    """

    type: Literal["task.cancelled"]
    data: CancelledFacts


class TaskSlaBreached(Envelope):
    """Sent when an SLA clock runs out: `deadline`, or `target_latency` since the creation. Sent
    once for each clock; the status does not change and work continues. Escalate, cancel, or
    wait.
    """

    type: Literal["task.sla_breached"]
    data: BreachedFacts


class TaskSlaAtRisk(Envelope):
    """Sent when 80 % of an SLA clock's time has passed and the task is still open. Sent once for
    each clock, unless the clock has run out by then. Sent only to receivers that name this type:
    `*` and `task.*` do not include it, and callbacks never get it. Prepare an alternative.
    """

    type: Literal["task.sla_at_risk"]
    data: AtRiskFacts


class TaskEscalated(Envelope):
    """Sent when no worker has accepted the task and its escalation policy takes a step:
    requirements are lowered, or more workers get offers. `data` shows what changed. Sent only to
    receivers that name this type: `*` and `task.*` do not include it, and callbacks never get
    it. No action is needed.
    """

    type: Literal["task.escalated"]
    data: EscalatedFacts


class TaskMessage(Envelope):
    """Sent when a worker that has or had the task, or its caller, writes a message. The text is not
    part of it: read it by `GET /v1/tasks/{task_id}/messages`. Sent only to receivers that name this
    type: `*` and `task.*` do not include it, and callbacks never get it. Answer a worker's question
    by `POST /v1/tasks/{task_id}/messages`.
    """

    type: Literal["task.message"]
    data: MessageFacts


class TaskUpdated(Envelope):
    """Sent when an operator changes the task's SLA, its requirements, or its place in the queue;
    `changes` has the new values. Sent only to receivers that name this type: `*` and `task.*` do
    not include it, and callbacks never get it. No action is needed.
    """

    type: Literal["task.updated"]
    data: UpdatedFacts


class TaskHeld(Envelope):
    """Sent when a task that only claims hand out (one of `/api`) waits again: its run was released,
    lapsed or failed, a reviewer sent its output back, or an operator began a new run after its end.
    Sent only to receivers that name this type: `*` and `task.*` do not include it, and callbacks
    never get it. No action is needed.
    """

    type: Literal["task.held"]
    data: HeldFacts


class ReviewRequested(Envelope):
    """Sent when a review policy has a person look at a submitted output. Sent only to receivers
    that name this type: `*` and `task.*` do not include it, and callbacks never get it. Have a
    reviewer decide by `POST /v1/reviews/{review_id}/verdict`.
    """

    type: Literal["review.requested"]
    data: ReviewRequestedFacts


class ReviewDecided(Envelope):
    """Sent when a reviewer has decided, or the policy has approved the output after its time. Sent
    only to receivers that name this type: `*` and `task.*` do not include it, and callbacks never
    get it. `task.verified`, `task.queued` or `task.failed` follows immediately.
    """

    type: Literal["review.decided"]
    data: ReviewDecidedFacts


class ReviewOverdue(Envelope):
    """Sent once when a review has not been decided in time: all members with the required role may
    decide it now. Sent only to receivers that name this type: `*` and `task.*` do not include it,
    and callbacks never get it.
    """

    type: Literal["review.overdue"]
    data: ReviewOverdueFacts
