"""Work on runs for operators: claim, start, attach a session, complete, fail and cancel.

1. Lock the run behind its task; a session that is named, before both.
2. Check that the run is in the status that the call needs, and that it has no lease: a leased run
   belongs to its session.
3. Call the kernel's service as the worker that holds what operators claim (naming.py), with the
   rows of the log, in one statement. Who claimed it, and the session, are details of the run.

Channels are plain text here, so that one is always valid: no start is refused for its channel.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.agents.models import AgentClaim, AgentSession, ClaimEnd, SessionState
from apps.agents.selectors import is_busy
from apps.agents.services import executor
from apps.agents.services.naming import operators_worker
from apps.base.rows import Change, Insert
from apps.base.transactions import atomic
from apps.operations import services as operations
from apps.operations.caller import AGENT_SESSION, DAEMON, Caller, origin_of
from apps.operations.changes import bound_run, touched_task
from apps.operations.log import LogType, log_entry
from apps.operations.models import ExecutionProfile, TaskDetails
from apps.operations.projection import is_blocked, task_status
from apps.operations.services import LockedRun
from apps.tasks import services as tasks
from apps.tasks.models import RUN_FINAL, Run, RunStatus
from biolayer.errors import (
    Fault,
    InvalidInput,
    NotFound,
    OwnedByAnother,
    SessionNotOpened,
    TransitionRefused,
)
from biolayer.lifecycle import Status


@atomic()
def claim_run(*, caller: Caller, run_id: str, idempotency_key: str, at: datetime) -> Run:
    """Claim a queued run without a lease, so that it never lapses. A pause does not stop that.

    Raise `InvalidInput` for an agent without a key, `NotFound`, `NotOfThisApi`, `OwnedByAnother`,
    `RoleTooLow`, `ScopeMissing`, `TransitionRefused`.
    """
    _require_key(caller, idempotency_key)
    locked = _lock(caller, run_id, [RunStatus.QUEUED])
    run, task = locked.run, locked.task
    if task.status != Status.CREATED or is_blocked(task):
        raise TransitionRefused("A dependency or an approval blocks the task.")
    _require_owner(caller, locked.task_details)
    bound = bound_run(run.id, claimed_by_kind=caller.kind, claimed_by_ref=caller.ref)
    entry = _entry(
        LogType.RUN_CLAIMED,
        "claim_run",
        caller,
        locked,
        at,
        task_status=task_status(task),
        status="claimed",
        claimed_by={"kind": caller.kind, "ref": caller.ref},
    )
    tasks.claim_task(
        task=task,
        run=run,
        worker_id=operators_worker(organisation_id=task.organisation_id, at=at),
        lease_seconds=None,
        units=0,
        actor=caller.principal,
        at=at,
        also=[bound, entry],
    )
    return run


def start_run(*, caller: Caller, run_id: str, idempotency_key: str, at: datetime) -> Run:
    """Start a claimed run in a session that the executor opens, or a starting one in its session.

    A run whose session cannot be opened fails. Raise `SessionNotOpened` then; `InvalidInput` for
    an agent without a key, `NotFound`, `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`,
    `TransitionRefused`.
    """
    _require_key(caller, idempotency_key)
    started = _start(caller, run_id, at)
    if isinstance(started, SessionNotOpened):
        raise started
    return started


@atomic()
def _start(caller: Caller, run_id: str, at: datetime) -> Run | SessionNotOpened:
    locked = _lock(caller, run_id, [RunStatus.CLAIMED, RunStatus.STARTING])
    run, session_id = locked.run, locked.details.session_id
    rows: list[Change] = []
    if run.status == RunStatus.CLAIMED:
        try:
            session_id = _open_session(locked, at)
        except SessionNotOpened as error:
            starting = _entry(LogType.RUN_STARTING, "start_run", caller, locked, at)
            _fail(caller, locked, "start_run", at, error=str(error), also=[starting])
            # Raised after the commit, which the failure is kept by.
            return error
        rows = _bound_rows("start_run", caller, locked, session_id, at)
    elif not session_id:
        raise TransitionRefused("No session is bound to the run: attach one first.")
    entry = _entry(
        LogType.RUN_STARTED,
        "start_run",
        caller,
        locked,
        at,
        task_status="in_progress",
        status="running",
        session_id=session_id,
    )
    return tasks.start_run(
        actor=_holder(caller, run), run_id=run.id, epoch=run.epoch, at=at, also=[*rows, entry]
    )


def _open_session(locked: LockedRun, at: datetime) -> str:
    """Return the session that the executor opens; a refusal undoes what it wrote."""
    assert locked.run.worker_id is not None
    profile = ExecutionProfile.objects.filter(task_id=locked.task.id).first()
    with transaction.atomic():
        session = executor.open_session(
            locked=locked, worker_id=locked.run.worker_id, profile=profile, at=at
        )
    return session.session_id


@atomic()
def attach_session(*, caller: Caller, run_id: str, session_id: str, at: datetime) -> Run:
    """Bind an active session of the run's workspace to a run without one; it is then starting.

    Raise `NotFound` (the run, the session), `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`,
    `TransitionRefused` where the run has a session, or the session is busy or not attachable.
    """
    caller.principal.require(Scope.TASKS_MANAGE)
    session = _lock_session(caller, session_id)
    locked = _lock(caller, run_id, [RunStatus.CLAIMED, RunStatus.STARTING])
    if locked.details.session_id:
        raise TransitionRefused("Another session is bound to the run.")
    if session is None:
        raise NotFound("session")
    if session.state != SessionState.ACTIVE or session.workspace_id != locked.task.pool_id:
        raise TransitionRefused("The session has ended, or is not of the task's workspace.")
    if is_busy(session, at):
        raise TransitionRefused("The session has another run.")
    rows = _bound_rows("attach_session", caller, locked, session.session_id, at)
    tasks.mark_starting(run=locked.run, also=[*rows, touched_task(locked.task, at)])
    return locked.run


def _lock_session(caller: Caller, session_id: str) -> AgentSession | None:
    rows = AgentSession.objects.visible_to(caller.principal).locked()
    return rows.filter(session_id=session_id).first()


@atomic()
def complete_run(*, caller: Caller, run_id: str, result: Any, at: datetime) -> Run:
    """Submit the result of a running run: its task is completed, unless a review holds it.

    Raise `InvalidInput` for the result, `NotFound`, `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`,
    `TransitionRefused`.
    """
    locked = _lock(caller, run_id, [RunStatus.RUNNING])
    entry = _entry(
        LogType.RUN_COMPLETED,
        "complete_run",
        caller,
        locked,
        at,
        task_status="completed",
        status="completed",
        result=result,
    )
    run = tasks.submit_with_files(
        actor=_holder(caller, locked.run),
        run_id=locked.run.id,
        epoch=locked.run.epoch,
        output=result,
        at=at,
        also=[*_proposal(caller, locked, at), entry],
    )
    _end_session(locked, at)
    tasks.complete_unreviewed(task=run.task, at=at)
    return run


def _proposal(caller: Caller, locked: LockedRun, at: datetime) -> list[Change]:
    """Return the row that says who completed a run, so that they do not review their own work."""
    run, details = locked.run, locked.details
    sessions = AgentSession.objects.filter(
        organisation_id=run.organisation_id, session_id=details.session_id
    )
    session_id = sessions.values_list("id", flat=True).first()
    if session_id is None or run.claimed_at is None:
        return []
    claim = AgentClaim(
        organisation_id=run.organisation_id,
        session_id=session_id,
        run_id=run.id,
        epoch=run.epoch,
        claimed_at=run.claimed_at,
        ended_at=at,
        end=ClaimEnd.COMPLETED,
        completed_by=caller.principal.text,
        completed_by_member=caller.principal.member_id,
    )
    return [Insert(claim)]


@atomic()
def fail_run(*, caller: Caller, run_id: str, error: str, metadata: Any, at: datetime) -> Run:
    """Fail a starting or running run: its task waits for another one while attempts are left.

    Raise `NotFound`, `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`, `TransitionRefused`.
    """
    locked = _lock(caller, run_id, [RunStatus.STARTING, RunStatus.RUNNING])
    run = _fail(caller, locked, "fail_run", at, error=error, metadata=metadata)
    _end_session(locked, at)
    return run


def _fail(
    caller: Caller,
    locked: LockedRun,
    action: str,
    at: datetime,
    *,
    error: str,
    metadata: Any = None,
    also: Sequence[Change] = (),
) -> Run:
    run, task = locked.run, locked.task
    waits = "blocked" if is_blocked(task) else "ready"
    entry = _entry(
        LogType.RUN_FAILED,
        action,
        caller,
        locked,
        at,
        task_status="failed" if task.attempt >= task.max_attempts else waits,
        status="failed",
        error=error,
        metadata=metadata,
    )
    return tasks.fail_run(
        actor=_holder(caller, run),
        run_id=run.id,
        epoch=run.epoch,
        error=error,
        at=at,
        also=[*also, entry],
    )


@atomic()
def cancel_run(*, caller: Caller, run_id: str, reason: str, metadata: Any, at: datetime) -> Run:
    """Cancel an open run, leased or not, and so its task, which has no other open run.

    Raise `NotFound`, `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`, `TransitionRefused`.
    """
    locked = operations.lock_run(caller, run_id, scope=Scope.TASKS_CANCEL)
    if locked.run.status in RUN_FINAL:
        raise TransitionRefused(f"The run is {locked.run.status}.")
    operations.cancel_run(
        caller=caller,
        locked=operations.LockedTask(locked.task, locked.task_details),
        reason=reason,
        metadata=metadata,
        at=at,
    )
    _end_session(locked, at)
    run = Run.objects.get(id=locked.run.id)
    run.task = locked.task
    return run


# --- what the calls share -------------------------------------------------------------------------


def _lock(caller: Caller, run_id: str, statuses: Sequence[RunStatus]) -> LockedRun:
    """Lock a run without a lease that has one of the statuses. Raise `TransitionRefused`."""
    locked = operations.lock_run(caller, run_id, scope=Scope.TASKS_MANAGE)
    if locked.run.lease_until is not None:
        raise TransitionRefused("The run has a lease: it belongs to its session.")
    if locked.run.status not in statuses:
        raise TransitionRefused(f"The run is {locked.run.status}.")
    return locked


def _require_key(caller: Caller, idempotency_key: str) -> None:
    if caller.is_agent and not idempotency_key:
        raise InvalidInput([Fault("/idempotency_key", "required", "is required for agents")])


def _require_owner(caller: Caller, details: TaskDetails) -> None:
    """Raise `OwnedByAnother` where only the sessions of an agent may claim, or another session."""
    if details.owner_kind == "pool":
        raise OwnedByAnother("Only the sessions of its owner claim it, by claim-next.")
    is_owner = caller.kind == DAEMON or (caller.kind, caller.ref) == (
        AGENT_SESSION,
        details.owner_ref,
    )
    if details.owner_kind == AGENT_SESSION and not is_owner:
        raise OwnedByAnother("Only the session that owns the task may claim its run.")


def _holder(caller: Caller, run: Run) -> Principal:
    """Return the caller as the worker that holds the run."""
    assert run.worker_id is not None
    return caller.principal.for_worker(run.worker_id)


def _bound_rows(
    action: str, caller: Caller, locked: LockedRun, session_id: str, at: datetime
) -> list[Change]:
    """Return what binds a session to a locked run."""
    facts = {"task_status": "in_progress", "status": "starting", "session_id": session_id}
    kinds = (LogType.RUN_STARTING, LogType.RUN_SESSION_BOUND)
    entries = [_entry(kind, action, caller, locked, at, **facts) for kind in kinds]
    return [bound_run(locked.run.id, session_id=session_id), *entries]


def _entry(
    kind: LogType, action: str, caller: Caller, locked: LockedRun, at: datetime, **payload: Any
) -> Change:
    return log_entry(
        locked.task,
        kind,
        caller=caller,
        origin=origin_of(action),
        at=at,
        run_id=locked.run.id,
        **payload,
    )


def _end_session(locked: LockedRun, at: datetime) -> None:
    """End the session of a run that has ended, if the executor opened it."""
    if locked.details.session_id:
        executor.end_session(
            organisation_id=locked.run.organisation_id, session_id=locked.details.session_id, at=at
        )
