"""Queue runs of tasks of `/api`: publish, start, enqueue and approve.

1. Lock the task. A key that was used returns the run that it created, before anything is checked.
2. Check the task's state, and that no run is open.
3. Queue the run with a copy of the profile's capabilities, in the statement that logs it.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError

from apps.accounts.scopes import Role, Scope
from apps.base.rows import Change, Insert, write
from apps.base.transactions import Raced, atomic, retry_races
from apps.operations.caller import Caller, Origin, origin_of
from apps.operations.log import LogType, log_entry
from apps.operations.models import (
    ApprovalPolicy,
    ApprovalState,
    ExecutionProfile,
    RunDetails,
    TaskDetails,
)
from apps.operations.projection import is_blocked, task_status
from apps.operations.requirements import claim_requirement
from apps.operations.selectors import coordination_channel_of
from apps.operations.services.locks import LockedTask, details_of, lock_task, open_run
from apps.tasks import services as tasks
from apps.tasks.models import RUN_FINAL, Run
from biolayer.errors import Fault, InvalidInput, OpenRunExists, TransitionRefused
from biolayer.lifecycle import Status


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Hold what a call says of the run that it queues."""

    idempotency_key: str = ""
    network_channel: str = ""
    metadata: Any = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Hold the review that has rejected a run, and what it leaves to the run that follows."""

    review_id: UUID
    reviewed_run_id: UUID
    # Of the next review.
    review_round: int
    review_reason: str
    missing_work: Sequence[str]
    guidance: str


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """Hold the run that a call queued, or had queued before, with its task."""

    locked: LockedTask
    run: Run
    details: RunDetails


def publish_task(*, caller: Caller, task_id: str, request: RunRequest, at: datetime) -> QueuedRun:
    """Publish a draft that nothing blocks, and queue its run.

    Raise `AttemptsExhausted`, `InvalidInput`, `NotFound`, `NotOfThisApi`, `OpenRunExists`,
    `RoleTooLow`, `ScopeMissing`, `TransitionRefused`.
    """

    def publish(locked: LockedTask) -> None:
        if locked.task.status != Status.DRAFT:
            raise TransitionRefused("Only a draft can be published.")
        if is_blocked(locked.task):
            raise TransitionRefused("A dependency or an approval holds the draft.")
        _publish(caller, locked, origin_of("publish"), at)

    return _call("publish", caller, task_id, request=request, at=at, prepare=publish)


def start_task(*, caller: Caller, task_id: str, request: RunRequest, at: datetime) -> QueuedRun:
    """Queue a run of a task that nothing blocks. Raise as `publish_task` does."""

    def check(locked: LockedTask) -> None:
        _require_runnable(locked)
        if is_blocked(locked.task):
            raise TransitionRefused("A dependency or an approval blocks the task.")

    return _call("start", caller, task_id, request=request, at=at, prepare=check)


def enqueue_run(*, caller: Caller, task_id: str, request: RunRequest, at: datetime) -> QueuedRun:
    """Queue a run, which waits while something blocks the task. Raise as `publish_task` does."""
    if caller.is_agent and not request.idempotency_key:
        raise InvalidInput([Fault("/idempotency_key", "required", "is required for agents")])
    return _call("enqueue", caller, task_id, request=request, at=at, prepare=_require_runnable)


def approve_task(*, caller: Caller, task_id: str, request: RunRequest, at: datetime) -> QueuedRun:
    """Approve a task whose approval is pending, publish it if it is a draft, and queue its run.

    All of it or nothing. An editor approves, as a review policy has it that names no role. Raise as
    `publish_task` does.
    """
    caller.principal.require_role(Role.EDITOR)

    def approve(locked: LockedTask) -> None:
        _require_pending(locked.details)
        if locked.task.status == Status.CANCELLED:
            raise TransitionRefused("The task is canceled.")
        _decide(caller, locked, ApprovalState.APPROVED, at)
        if locked.task.status == Status.DRAFT:
            _publish(caller, locked, origin_of("approve"), at)

    return _call(
        "approve",
        caller,
        task_id,
        request=request,
        at=at,
        prepare=approve,
        scope=Scope.TASKS_REVIEW,
    )


@atomic()
def reject_task(*, caller: Caller, task_id: str, at: datetime) -> LockedTask:
    """Reject a task whose approval is pending: it stays blocked.

    Raise `NotFound`, `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`, `TransitionRefused`.
    """
    caller.principal.require_role(Role.EDITOR)
    locked = lock_task(caller, task_id, scope=Scope.TASKS_REVIEW)
    _require_pending(locked.details)
    _decide(caller, locked, ApprovalState.REJECTED, at)
    return locked


def _call(
    action: str,
    caller: Caller,
    task_id: str,
    *,
    request: RunRequest,
    at: datetime,
    prepare: Callable[[LockedTask], None],
    scope: Scope = Scope.TASKS_CREATE,
) -> QueuedRun:
    @atomic()
    def call() -> QueuedRun:
        locked = lock_task(caller, task_id, scope=scope)
        key = _key(action, locked, request)
        earlier = _earlier(action, locked, key, is_own=bool(request.idempotency_key))
        if earlier is not None:
            return earlier
        prepare(locked)
        waiting = open_run(locked.task) if action == "approve" else None
        if waiting is not None:
            # Queued before the approval was asked for: it may be claimed now.
            waiting.task = locked.task
            return QueuedRun(locked, waiting, details_of(waiting))
        try:
            return add_run(
                caller=caller,
                locked=locked,
                origin=origin_of(action),
                request=RunRequest(key, request.network_channel, request.metadata),
                at=at,
            )
        except IntegrityError as error:
            # A call with the same key for another task committed meanwhile.
            if "run_details_key_is_unique" in str(error):
                raise Raced from error
            raise

    return retry_races(call)


def _key(action: str, locked: LockedTask, request: RunRequest) -> str:
    """Return the key of a call; a repeated publish or approve returns the first run without one."""
    if request.idempotency_key or action == "enqueue":
        return request.idempotency_key
    if action == "start":
        # Bound to the next attempt: only while that is open the call is repeated.
        return f"task.start.{locked.details.wire_id}.{_next_attempt(locked)}"
    key = f"task.{action}.{locked.details.wire_id}"
    return f"{key}.{_next_attempt(locked)}" if _is_approved_again(action, locked, key) else key


def _is_approved_again(action: str, locked: LockedTask, key: str) -> bool:
    """Return whether an approval is pending after an earlier one, which has queued a run."""
    if action != "approve" or locked.details.approval_state != ApprovalState.PENDING:
        return False
    return RunDetails.objects.filter(task_id=locked.task.id, idempotency_key=key).exists()


def _next_attempt(locked: LockedTask) -> int:
    attempt = locked.task.attempt
    return attempt if open_run(locked.task) is not None else attempt + 1


def _earlier(action: str, locked: LockedTask, key: str, *, is_own: bool) -> QueuedRun | None:
    """Return the run that this key created before. Raise `InvalidInput` for another task's key."""
    if not key:
        return None
    origin = origin_of(action)
    found = (
        RunDetails.objects.select_related("run")
        .filter(
            organisation_id=locked.task.organisation_id,
            idempotency_key=key,
            origin_kind=origin.kind,
            origin_ref=origin.ref,
        )
        .first()
    )
    if found is None:
        return None
    if found.task_id != locked.task.id:
        raise InvalidInput([Fault("/idempotency_key", "used", "was used for another task")])
    if action == "start" and not is_own and found.run.status in RUN_FINAL:
        return None
    found.run.task = locked.task
    return QueuedRun(locked, found.run, found)


def add_run(
    *,
    caller: Caller,
    locked: LockedTask,
    origin: Origin,
    request: RunRequest,
    at: datetime,
    previous_run_id: UUID | None = None,
    lineage: Lineage | None = None,
    also: Callable[[Run], list[Change]] = lambda _: [],
) -> QueuedRun:
    """Queue the next run of a locked task, whose state allows it.

    `also` returns further rows. Raise `AttemptsExhausted`, `OpenRunExists`, `TransitionRefused`
    while an output waits for its verdict.
    """
    task, details = locked.task, locked.details
    if task.status in (Status.SUBMITTED, Status.VERIFIED):
        raise TransitionRefused("The output of its last run waits for a verdict.")
    unfinished = open_run(task)
    if unfinished is not None:
        raise OpenRunExists(str(unfinished.id))
    profile = ExecutionProfile.objects.filter(task_id=task.id).first()
    required = [] if profile is None else profile.required_capabilities
    preferred = [] if profile is None else profile.preferred_capabilities
    requirement = claim_requirement(task, details, profile, required=required, preferred=preferred)
    made: list[RunDetails] = []

    def rows_of(run: Run) -> list[Change]:
        row = RunDetails(
            run_id=run.id,
            organisation_id=task.organisation_id,
            task_id=task.id,
            previous_run_id=previous_run_id,
            origin_kind=origin.kind,
            origin_ref=origin.ref,
            idempotency_key=request.idempotency_key,
            network_channel=request.network_channel or details.network_channel,
            metadata=request.metadata,
            required_capabilities=required,
            preferred_capabilities=preferred,
            **({} if lineage is None else asdict(lineage)),
        )
        made.append(row)
        return [Insert(row), _enqueued(caller, run, row, origin, at), *also(run)]

    run = tasks.queue_run(
        task=task, requirement=requirement, actor=caller.principal, at=at, also=rows_of
    )
    return QueuedRun(locked, run, made[0])


def _enqueued(
    caller: Caller, run: Run, details: RunDetails, origin: Origin, at: datetime
) -> Change:
    """Return what the log tells of a run that is queued."""
    return log_entry(
        run.task,
        LogType.RUN_ENQUEUED,
        caller=caller,
        origin=origin,
        at=at,
        run_id=run.id,
        task_status=task_status(run.task),
        status=run.status,
        attempt=run.attempt,
        network_channel=details.network_channel,
        coordination_channel_id=coordination_channel_of(run, details),
        idempotency_key=details.idempotency_key,
    )


def _require_runnable(locked: LockedTask) -> None:
    if locked.task.status in (Status.DRAFT, Status.CANCELLED):
        raise TransitionRefused("A draft must be published first; a canceled task never runs.")


def _require_pending(details: TaskDetails) -> None:
    is_pending = details.approval_state == ApprovalState.PENDING
    if details.approval_policy != ApprovalPolicy.MANUAL or not is_pending:
        raise TransitionRefused("The task waits for no approval.")


def _publish(caller: Caller, locked: LockedTask, origin: Origin, at: datetime) -> None:
    task = locked.task
    entry = log_entry(
        task,
        LogType.PUBLISHED,
        caller=caller,
        origin=origin,
        at=at,
        task_status="ready",
        previous_status="draft",
        approval_state=locked.details.approval_state,
    )
    tasks.publish_locked(task=task, actor=caller.principal, at=at, also=[entry])


def _decide(caller: Caller, locked: LockedTask, state: ApprovalState, at: datetime) -> None:
    """Record the decision on a pending approval; an approval opens its gate."""
    task, details = locked.task, locked.details
    is_approved = state == ApprovalState.APPROVED
    before, details.approval_state, details.updated_at = details.approval_state, state, at
    details.save(update_fields=["approval_state", "updated_at"])
    if is_approved:
        tasks.move_gates(task, -1)
    entry = log_entry(
        task,
        LogType.APPROVED if is_approved else LogType.REJECTED,
        caller=caller,
        origin=origin_of("approve" if is_approved else "reject"),
        at=at,
        task_status=task_status(task),
        previous_approval_state=before,
        approval_state=state.value,
    )
    write([entry])
