"""Force what an operator decides on runs that it does not hold: release, fail, retry, recover.

1. Whether sessions of agents may force at all, and whether there is a reason.
2. A session's calls are counted by task, outside of the transaction (apps/operations).
3. Lock the task and the run, and check the run's status.
4. Write the run, its log entry and the end of the session's claim in one transaction: what its
   holder calls later is refused as after a lease that ended.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings

from apps.accounts.scopes import Scope
from apps.agents.models import AgentClaim
from apps.agents.services.leases import end_lost_claim
from apps.base.rows import Change, InsertValues
from apps.base.transactions import atomic, one_of_several
from apps.operations.caller import Caller, origin_of
from apps.operations.changes import UNBOUND, run_details
from apps.operations.log import LogType, log_entry
from apps.operations.models import RunDetails
from apps.operations.projection import is_blocked, task_status
from apps.operations.selectors import task_of_run
from apps.operations.services import (
    LockedRun,
    LockedTask,
    RunRequest,
    add_run,
    count_forced,
    lock_run,
)
from apps.tasks import services as tasks
from apps.tasks.models import RUN_FINAL, Run, RunStatus
from biolayer.errors import (
    AlreadyTerminal,
    BioLayerError,
    ChainTooDeep,
    ForceForbidden,
    ReasonRequired,
    RunNotRecoverable,
    RunNotReleasable,
    RunStillActive,
    TransitionRefused,
)
from biolayer.lifecycle import Status
from biolayer.times import format_time

FORCED = "operator_forced"
"""How a run failed that an operator failed."""

MAX_CHAIN = 10
RECOVERED = "An operator queued another run."
"""The error of a run that was recovered without a reason."""


@dataclass(frozen=True, slots=True)
class Order:
    """Hold what an operator says of a forced operation."""

    reason: str = ""
    metadata: Any = None


@dataclass(frozen=True, slots=True)
class Repeated:
    """Hold a failed run and the one that was queued after it."""

    previous: Run
    run: Run


def require_may_force(caller: Caller) -> None:
    """Raise `ForceForbidden`, `RoleTooLow`, `ScopeMissing` unless the caller may force."""
    caller.principal.require(Scope.TASKS_MANAGE)
    if caller.is_agent and not settings.AGENTS_MAY_FORCE:
        raise ForceForbidden("Only people may force operations in this installation.")


def force_release(*, caller: Caller, run_id: str, order: Order, at: datetime) -> Run:
    """Take a claimed run from its holder, and queue it again.

    Raise `ForceForbidden`, `ForceRateLimited`, `NotFound`, `NotOfThisApi`, `RoleTooLow`,
    `RunNotReleasable`, `ScopeMissing`.
    """
    _begin(caller, run_id, at)
    return _release(caller, run_id, order, at)


def force_fail(*, caller: Caller, run_id: str, order: Order, at: datetime) -> Run:
    """Fail a queued or claimed run; the task fails with it after the last attempt.

    Raise `AlreadyTerminal`, `ForceForbidden`, `ForceRateLimited`, `NotFound`, `NotOfThisApi`,
    `ReasonRequired`, `RoleTooLow`, `RunStillActive`, `ScopeMissing`.
    """
    require_may_force(caller)
    if not order.reason:
        raise ReasonRequired
    _begin(caller, run_id, at)
    return _fail(caller, run_id, order, at)


def retry_run(*, caller: Caller, run_id: str, order: Order, at: datetime) -> Repeated:
    """Queue another run after a failed one.

    Raise `AttemptsExhausted`, `ChainTooDeep`, `ForceForbidden`, `ForceRateLimited`, `NotFound`,
    `NotOfThisApi`, `OpenRunExists`, `RoleTooLow`, `RunStillActive`, `ScopeMissing`,
    `TransitionRefused`.
    """
    _begin(caller, run_id, at)
    return _retry(caller, run_id, order, at)


def recover_run(*, caller: Caller, run_id: str, order: Order, at: datetime) -> Repeated:
    """Fail a run that needs attention, and queue another one: both or neither.

    Raise as `retry_run` does; `RunNotRecoverable` for `RunStillActive`.
    """
    _begin(caller, run_id, at)
    return _recover(caller, run_id, order, at)


Outcomes = Sequence[tuple[str, Run | BioLayerError]]


def force_release_many(
    *, caller: Caller, run_ids: Sequence[str], order: Order, at: datetime
) -> Outcomes:
    """Release runs, each for itself. Return for each id the run, or why it was refused.

    Raise `RoleTooLow`, `ScopeMissing`.
    """
    return _each(force_release, caller, run_ids, order, at)


def force_fail_many(
    *, caller: Caller, run_ids: Sequence[str], order: Order, at: datetime
) -> Outcomes:
    """Fail runs, each for itself. Return for each id the run, or why it was refused.

    Raise `ReasonRequired`, `RoleTooLow`, `ScopeMissing`.
    """
    caller.principal.require(Scope.TASKS_MANAGE)
    if not order.reason:
        raise ReasonRequired
    return _each(force_fail, caller, run_ids, order, at)


def _each(
    force: Callable[..., Run],
    caller: Caller,
    run_ids: Sequence[str],
    order: Order,
    at: datetime,
) -> Outcomes:
    caller.principal.require(Scope.TASKS_MANAGE)
    call = partial(force, caller=caller, order=order, at=at)
    return [
        (run_id, one_of_several(partial(call, run_id=run_id))) for run_id in dict.fromkeys(run_ids)
    ]


def _begin(caller: Caller, run_id: str, at: datetime) -> None:
    """Check who forces, find the run, and count the call of a session."""
    require_may_force(caller)
    task = task_of_run(caller, run_id)
    count_forced(caller=caller, task_id=task.id, at=at)


@atomic()
def _release(caller: Caller, run_id: str, order: Order, at: datetime) -> Run:
    locked = lock_run(caller, run_id, scope=Scope.TASKS_MANAGE)
    run, details = locked.run, locked.details
    if run.status != RunStatus.CLAIMED:
        raise RunNotReleasable(f"The run is {run.status}.", **_known(locked))
    entry = _entry(
        LogType.RUN_RELEASED,
        caller,
        locked,
        at,
        action="force_release",
        status="queued",
        task_status="blocked" if is_blocked(locked.task) else "ready",
        reason=order.reason,
        metadata=order.metadata,
        previous_session_id=details.session_id,
        previous_claim_token_hash_truncated=_short(details.claim_token_hash),
        previous_lease_until=None if run.lease_until is None else format_time(run.lease_until),
    )
    _end_claim(run, at)
    return tasks.recall_run(
        task=locked.task,
        actor=caller.principal,
        at=at,
        reason=order.reason,
        also=[run_details(run.id, UNBOUND), entry],
    )


@atomic()
def _fail(caller: Caller, run_id: str, order: Order, at: datetime) -> Run:
    locked = lock_run(caller, run_id, scope=Scope.TASKS_MANAGE)
    run = locked.run
    if run.status in RUN_FINAL:
        raise AlreadyTerminal(f"The run is {run.status}.", **_known(locked))
    if run.status not in (RunStatus.QUEUED, RunStatus.CLAIMED):
        raise RunStillActive(f"The run is {run.status}.", **_known(locked))
    is_last = locked.task.attempt >= locked.task.max_attempts
    waits = "blocked" if is_blocked(locked.task) else "ready"
    entry = _entry(
        LogType.RUN_OPERATOR_FORCED_FAIL,
        caller,
        locked,
        at,
        action="force_fail",
        status="failed",
        task_status="failed" if is_last else waits,
        reason=order.reason,
        metadata=order.metadata,
        session_id=locked.details.session_id,
    )
    _end_claim(run, at)
    tasks.fail_open_run(
        task=locked.task,
        run=run,
        error=order.reason,
        actor=caller.principal,
        at=at,
        also=[run_details(run.id, FORCED_DETAILS), entry],
    )
    return run


@atomic()
def _retry(caller: Caller, run_id: str, order: Order, at: datetime) -> Repeated:
    locked = lock_run(caller, run_id, scope=Scope.TASKS_MANAGE)
    if locked.run.status != RunStatus.FAILED:
        text = f"Only a failed run can be retried. The run is {locked.run.status}."
        raise RunStillActive(text, **_known(locked))
    _require_repeatable(locked)
    return _repeat(LogType.RUN_OPERATOR_RETRY, caller, locked, order, at, action="retry")


@atomic()
def _recover(caller: Caller, run_id: str, order: Order, at: datetime) -> Repeated:
    locked = lock_run(caller, run_id, scope=Scope.TASKS_MANAGE)
    run = locked.run
    if run.status != RunStatus.NEEDS_ATTENTION:
        hint = " Retry it instead." if run.status == RunStatus.FAILED else ""
        raise RunNotRecoverable(f"The run is {run.status}.{hint}", **_known(locked))
    _require_repeatable(locked)
    # If no run can be queued after it, this is undone, too.
    tasks.fail_open_run(
        task=locked.task,
        run=run,
        error=order.reason or RECOVERED,
        actor=caller.principal,
        at=at,
        also=[run_details(run.id, FORCED_DETAILS)],
    )
    return _repeat(
        LogType.RUN_RECOVERED_FROM_ATTENTION,
        caller,
        locked,
        order,
        at,
        action="recover",
        previous_status=RunStatus.NEEDS_ATTENTION.value,
        reason=order.reason,
    )


def _known(locked: LockedRun) -> dict[str, str]:
    """Return what a refusal says of a run."""
    return {
        "run_id": str(locked.run.id),
        "task_id": locked.task_details.wire_id,
        "status": locked.run.status,
    }


def _require_repeatable(locked: LockedRun) -> None:
    """Raise `ChainTooDeep`, `TransitionRefused` where no run may follow a run."""
    if _chain_length(locked.details) >= MAX_CHAIN:
        raise ChainTooDeep
    if RunDetails.objects.filter(previous_run_id=locked.run.id).exists():
        raise TransitionRefused("Another run follows this one already.")
    if locked.task.status in (Status.DRAFT, Status.CANCELLED):
        raise TransitionRefused("A draft must be published first; a canceled task never runs.")
    if locked.task.status in (Status.SUBMITTED, Status.VERIFIED):
        raise TransitionRefused("The output of another run waits for its verdict.")


def _chain_length(details: RunDetails) -> int:
    """Return how many runs repeat each other, up to this one."""
    before = dict(
        RunDetails.objects.filter(task_id=details.task_id).values_list("run_id", "previous_run_id")
    )
    length = 0
    run_id: UUID | None = details.run_id
    while run_id is not None:
        length, run_id = length + 1, before.get(run_id)
    return length


def _repeat(
    kind: LogType,
    caller: Caller,
    locked: LockedRun,
    order: Order,
    at: datetime,
    *,
    action: str,
    **facts: Any,
) -> Repeated:
    """Queue a run after a locked one, and log that as an event of the earlier one."""

    def entries(run: Run) -> list[Change]:
        ids = {"source_run_id": str(locked.run.id), "new_run_id": str(run.id)}
        actor = {"kind": caller.kind, "ref": caller.ref}
        status = task_status(locked.task)
        return [
            log_entry(
                locked.task,
                kind,
                caller=caller,
                origin=origin_of(action),
                at=at,
                run_id=locked.run.id,
                manual=True,
                actor=actor,
                status="failed",
                task_status=status,
                **ids,
                **facts,
            )
        ]

    queued = add_run(
        caller=caller,
        locked=LockedTask(locked.task, locked.task_details),
        origin=origin_of(action),
        request=RunRequest(network_channel=locked.details.network_channel, metadata=order.metadata),
        at=at,
        previous_run_id=locked.run.id,
        also=entries,
    )
    return Repeated(locked.run, queued.run)


FORCED_DETAILS = {"failure_kind": FORCED, "claim_token_hash": "", "starvation_count": 0}
"""The details of a run that was failed by force: its session stays as evidence, its fence not."""


def _entry(
    kind: LogType, caller: Caller, locked: LockedRun, at: datetime, *, action: str, **facts: Any
) -> InsertValues:
    return log_entry(
        locked.task,
        kind,
        caller=caller,
        origin=origin_of(action),
        at=at,
        run_id=locked.run.id,
        manual=True,
        actor_kind=caller.kind,
        actor_id=caller.ref,
        previous_status=locked.run.status,
        **facts,
    )


def _short(token_hash: str) -> str:
    """Return the first eight digits of the hash of a claim."""
    return token_hash.removeprefix("sha256:")[:8]


def _end_claim(run: Run, at: datetime) -> None:
    """End the claim of the session that holds a locked run; an operator's claim has none."""
    claim = AgentClaim.objects.filter(run_id=run.id, epoch=run.epoch, ended_at=None).first()
    if claim is not None:
        end_lost_claim(claim, at)
