"""The events of a task. Their facts are those of its log, with what a reader needs of the task."""

from typing import Annotated, Any, Literal

from pydantic import Field

from biolayer.events.envelope import Envelope, OpenModel, Sequence
from biolayer.values import Identifier, Moment, Timestamp

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
    product: str = Field(description="Empty where the contract named none.")
    request_id: str | None
    created_by: str
    created_at: Timestamp


class TaskFacts(OpenModel):
    """What every event says of its task."""

    task_id: Identifier
    sequence: Sequence
    status: StatusName = Field(description="Where the event brought it.")
    previous_status: StatusName | None = Field(
        description="Null at a task's first event; equal to `status` where only an SLA clock is told of."
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
        description="The run that waits (with `run_failed`: that failed); left out when an offer ended.",
    )
    attempt: int | None = Field(
        default=None,
        ge=1,
        description="Which attempt begins: at the first queueing, after a rework, after a reopening.",
    )
    offer_id: Identifier | None = Field(default=None, description="The offer that ended.")
    worker_id: Identifier | None = Field(
        default=None, description="Whose offer ended, or who held the run."
    )
    reason: str | None = Field(
        default=None,
        description="Why it is queued again: `offer_declined`, `offer_expired`, `lease_ended`,"
        " `run_failed`, or the words of whoever released it, sent it back or reopened it. Left out"
        " at the first queueing.",
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
    expires_at: Moment = Field(description="Until when the worker may accept.")
    offers: list[OfferedTo] | None = Field(
        default=None,
        description="Where several were asked at once: all of them, the one named above included.",
    )


class AcceptedFacts(TaskFacts):
    status: Literal["accepted"]
    run_id: Identifier
    worker_id: Identifier
    attempt: int = Field(ge=1)
    offer_id: Identifier | None = Field(
        default=None, description="Left out when an agent claimed the task without an offer."
    )


class StartedFacts(TaskFacts):
    status: Literal["started"]
    run_id: Identifier
    worker_id: Identifier


class SubmittedFacts(TaskFacts):
    status: Literal["submitted"]
    run_id: Identifier
    worker_id: Identifier
    evidence: list[Identifier] = Field(description="The files that belong to the submission.")


class VerifiedFacts(TaskFacts):
    status: Literal["verified"]
    run_id: Identifier
    worker_id: Identifier
    output: Any = Field(description="What was handed in; it satisfies the contract's schema.")


class CompletedFacts(TaskFacts):
    status: Literal["completed"]
    worker_id: Identifier
    output: Any = Field(description="The result; it satisfies the contract's schema.")


class FailedFacts(TaskFacts):
    status: Literal["failed"]
    reason: str = Field(
        description="`attempts_exhausted` after the last rework, `run_failed` with the last attempt,"
        " `nobody_found` at the end of an escalation, `dependency_failed` or `dependency_cancelled`,"
        " or why it was given up for good."
    )
    run_id: Identifier | None = Field(default=None, description="The run that failed, if one did.")
    worker_id: Identifier | None = Field(default=None, description="Who held that run.")


class CancelledFacts(TaskFacts):
    status: Literal["cancelled"]
    reason: str = Field(description="The caller's words; may be empty.")


class BreachedFacts(TaskFacts):
    breach: Literal["deadline", "target_latency"] = Field(description="Which clock ran out.")
    due_at: Moment
    detected_at: Moment
    output: Any = Field(default=None, description="Only where the task is verified already.")


class AtRiskFacts(TaskFacts):
    clock: Literal["deadline", "target_latency"] = Field(description="Which clock is meant.")
    at_risk_at: Moment = Field(description="When 80 % of the clock's time had passed.")
    due_at: Moment
    detected_at: Moment
    output: Any = Field(default=None, description="Only where the task is verified already.")


class EscalatedFacts(TaskFacts):
    step: int = Field(description="Which step of the policy was taken, from 1 on.")
    at_end: Literal["notify"] | None = Field(
        default=None, description="The last step was taken before, and nobody was found."
    )
    after_seconds: int | None = Field(default=None, description="Since the task was first queued.")
    drop_preferred_skills: bool | None = None
    drop_certifications: bool | None = None
    lower_trust_level_by: int | None = None
    lower_min_rating_by: float | None = None
    widen_to_pools: list[Identifier] | None = None
    mode: Literal["sequential", "broadcast"] | None = None
    broadcast_to: int | None = None
    boost_seconds: int | None = None
    notify: bool | None = None


class TaskCreated(Envelope):
    """A contract was accepted and its task stands at `created`, or a draft was published. Nobody has
    been asked yet. Nothing to do; keep `task_id` if you do not have it.
    """

    type: Literal["task.created"]
    data: CreatedFacts


class TaskQueued(Envelope):
    """The task waits for a worker: for the first time, or again because an offer ended, a run was
    given back or failed, a reviewer sent it back, or an administrator reopened it. `reason` tells
    which. Nothing to do; what was said of an earlier worker no longer holds.
    """

    type: Literal["task.queued"]
    data: QueuedFacts


class TaskMatched(Envelope):
    """An eligible worker was found and reserved. `task.offered` follows at once."""

    type: Literal["task.matched"]
    data: MatchedFacts


class TaskOffered(Envelope):
    """The worker sees the task and may accept it until `expires_at`. If that does not happen,
    `task.queued` follows.
    """

    type: Literal["task.offered"]
    data: OfferedFacts


class TaskAccepted(Envelope):
    """A worker holds the task, by an offer or, an agent, by a claim. You may tell your user that
    somebody has taken it on.
    """

    type: Literal["task.accepted"]
    data: AcceptedFacts


class TaskStarted(Envelope):
    """The worker began. From now on a cancellation throws work away."""

    type: Literal["task.started"]
    data: StartedFacts


class TaskSubmitted(Envelope):
    """An output that satisfies the schema was handed in, with evidence where the contract asks for
    it. It is not shown before it is verified. The task can no longer be cancelled.
    """

    type: Literal["task.submitted"]
    data: SubmittedFacts


class TaskVerified(Envelope):
    """The output passed its checks and, where a policy asks for it, a reviewer's approval. It is in
    `output`. `task.completed` follows; act on that one.
    """

    type: Literal["task.verified"]
    data: VerifiedFacts


class TaskCompleted(Envelope):
    """The task is done and its result is in `output`. Go on with your own work. Should an
    administrator reopen it, `task.queued` and later another `task.completed` follow.
    """

    type: Literal["task.completed"]
    data: CompletedFacts


class TaskFailed(Envelope):
    """The task was given up: no attempt is left, or it was rejected for good. There is no output.
    Post another task, or take the way you have without a person.
    """

    type: Literal["task.failed"]
    data: FailedFacts


class TaskCancelled(Envelope):
    """The task was called off before an output was handed in. This is its last event."""

    type: Literal["task.cancelled"]
    data: CancelledFacts


class TaskSlaBreached(Envelope):
    """An SLA clock ran out: `deadline`, or `target_latency` from the creation on. It comes once for
    each clock; the status stays and work goes on. Escalate, cancel, or wait.
    """

    type: Literal["task.sla_breached"]
    data: BreachedFacts


class TaskSlaAtRisk(Envelope):
    """Four fifths of an SLA clock's time have passed and the task is still open. It comes once for
    each clock, unless the clock has run out by then. Told only to who names this type: neither `*` nor
    `task.*` means it, and callbacks never get it. Ask somebody, or make ready to do without.
    """

    type: Literal["task.sla_at_risk"]
    data: AtRiskFacts


class TaskEscalated(Envelope):
    """Nobody took the task, and its policy took a step: less is asked of a worker, or more are asked;
    what changed is in the data. Told only to who names this type: neither `*` nor `task.*` means it,
    and callbacks never get it. Nothing to do, or find somebody yourself.
    """

    type: Literal["task.escalated"]
    data: EscalatedFacts
