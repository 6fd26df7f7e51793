"""Work on what a session holds: renew, complete, fail and release it.

1. Lock the run with its task, and check that the session holds it, in the order of the reference.
2. Close the claim by compare-and-swap on the hash of its secret, before the worker is locked.
3. Call the kernel's service, whose epoch refuses every late call, in the same transaction: events
   and webhooks are its own.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.agents.models import AgentClaim, AgentSession, ClaimEnd
from apps.agents.selectors import live_claims
from apps.agents.services.locks import lock_run
from apps.agents.services.run_log import lease_rows
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.operations.log import LogType
from apps.tasks import services as tasks
from apps.tasks.models import Run, RunStatus
from biolayer.errors import ForeignRun, NoActiveLease, SessionLeaseExpired
from biolayer.times import format_time


@dataclass(frozen=True, slots=True)
class Lease:
    """Hold what a lease call returns: the run as it is now, and the claim that it was called by."""

    run: Run
    claim: AgentClaim
    session: AgentSession


@atomic()
def heartbeat_claim(
    *, actor: Principal, session: AgentSession, run_id: UUID, lease_seconds: int, at: datetime
) -> Lease:
    """Let the session's lease last `lease_seconds` from now, which may be shorter than before.

    Raise `ForeignRun`, `NoActiveLease`, `NotFound`, `SessionLeaseExpired`.
    """
    lease = _held(session, run_id, at)
    run = tasks.heartbeat_run(
        actor=session.as_worker(actor),
        run_id=run_id,
        epoch=lease.claim.epoch,
        lease_seconds=lease_seconds,
        at=at,
    )
    _require_unchanged(lease.claim)
    write(
        lease_rows(
            LogType.RUN_LEASE_EXTENDED,
            "heartbeat",
            actor=actor,
            session=session,
            run=lease.run,
            at=at,
            status=run.status,
            lease_until=None if run.lease_until is None else format_time(run.lease_until),
            heartbeat_at=format_time(at),
            claim_token_hash=lease.claim.token_hash,
        )
    )
    return Lease(run, lease.claim, session)


@atomic()
def complete_claim(
    *, actor: Principal, session: AgentSession, run_id: UUID, result: Any, at: datetime
) -> Lease:
    """Submit the result, with all files that the worker has added to the run; start it before.

    What a submission leads to is the kernel's: a review may hold the task. Raise as
    `heartbeat_claim` does, and `InvalidInput` where the task's schema refuses the result.
    """
    lease = _held(session, run_id, at)
    worker, epoch = session.as_worker(actor), lease.claim.epoch
    end_claim(lease.claim, ClaimEnd.COMPLETED, at, actor=actor)
    if lease.run.status != RunStatus.RUNNING:
        tasks.start_run(actor=worker, run_id=run_id, epoch=epoch, at=at)
    rows = lease_rows(
        LogType.RUN_COMPLETED,
        "complete",
        actor=actor,
        session=session,
        run=lease.run,
        at=at,
        task_status="completed",
        status="completed",
        result=result,
        claim_token_hash=lease.claim.token_hash,
    )
    run = tasks.submit_with_files(
        actor=worker, run_id=run_id, epoch=epoch, output=result, at=at, also=rows
    )
    if run.task.is_claim_only:
        tasks.complete_unreviewed(task=run.task, at=at)
    return Lease(run, lease.claim, session)


@atomic()
def fail_claim(
    *,
    actor: Principal,
    session: AgentSession,
    run_id: UUID,
    error: str,
    metadata: Any,
    at: datetime,
) -> Lease:
    """Fail the run: the kernel queues the next attempt, or fails the task after the last.

    Raise as `heartbeat_claim` does.
    """
    lease = _held(session, run_id, at)
    end_claim(lease.claim, ClaimEnd.FAILED, at, failure_metadata=metadata)
    rows = lease_rows(
        LogType.RUN_FAILED,
        "fail",
        actor=actor,
        session=session,
        run=lease.run,
        at=at,
        status="failed",
        error=error,
        metadata=metadata,
        claim_token_hash=lease.claim.token_hash,
    )
    run = tasks.fail_run(
        actor=session.as_worker(actor),
        run_id=run_id,
        epoch=lease.claim.epoch,
        error=error,
        at=at,
        also=rows,
    )
    return Lease(run, lease.claim, session)


@atomic()
def release_claim(
    *, actor: Principal, session: AgentSession, run_id: UUID, reason: str, at: datetime
) -> Lease:
    """Give the run back: it keeps its attempt and its place in the queue.

    Raise as `heartbeat_claim` does.
    """
    lease = _held(session, run_id, at)
    run = release_held(actor=actor, session=session, lease=lease, reason=reason, at=at)
    return Lease(run, lease.claim, session)


def release_held(
    *, actor: Principal, session: AgentSession, lease: Lease, reason: str, at: datetime
) -> Run:
    """Give back the locked run that a session holds, and end its claim."""
    end_claim(lease.claim, ClaimEnd.RELEASED, at)
    rows = lease_rows(
        LogType.RUN_RELEASED,
        "release",
        actor=actor,
        session=session,
        run=lease.run,
        at=at,
        status="queued",
        previous_status=lease.run.status,
        reason=reason,
        session_id=session.session_id,
    )
    return tasks.release_run(
        actor=session.as_worker(actor),
        run_id=lease.run.id,
        epoch=lease.claim.epoch,
        reason=reason,
        at=at,
        also=rows,
    )


def _held(session: AgentSession, run_id: UUID, at: datetime) -> Lease:
    """Lock a run with its task, and return the session's live claim of it.

    Raise `NotFound`; where the session never claimed it, `ForeignRun` if it holds another run, else
    `NoActiveLease`; `SessionLeaseExpired`. An index ensures that a session holds one run at most.
    """
    run = lock_run(organisation_id=session.organisation_id, run_id=run_id)
    claims = AgentClaim.objects.filter(run_id=run.id, session_id=session.id)
    claim = claims.order_by("-epoch").first()
    if claim is None:
        raise ForeignRun if live_claims(session, at).exists() else NoActiveLease
    is_live = run.is_held_by(worker_id=session.worker_id, epoch=claim.epoch, at=at)
    if claim.ended_at is not None or not is_live:
        raise SessionLeaseExpired
    return Lease(run, claim, session)


END_CLAIM = """
UPDATE agents_agentclaim SET ended_at = %s, "end" = %s, failure_metadata = %s::jsonb,
    completed_by = %s, completed_by_member = %s
WHERE id = %s AND token_hash = %s AND ended_at IS NULL
"""
UNCHANGED = """
SELECT 1 FROM agents_agentclaim WHERE id = %s AND token_hash = %s AND ended_at IS NULL
"""


def end_claim(
    claim: AgentClaim,
    end: ClaimEnd,
    at: datetime,
    *,
    failure_metadata: Any = None,
    actor: Principal | None = None,
) -> None:
    """End an open claim; `actor` has completed it.

    Raise `SessionLeaseExpired` where it has ended, or is another one.
    """
    metadata = AgentClaim._meta.get_field("failure_metadata")
    stored = metadata.get_db_prep_save(failure_metadata, connection)
    with connection.cursor() as cursor:
        by: list[str | UUID | None] = [actor.text, actor.member_id] if actor else ["", None]
        cursor.execute(END_CLAIM, [at, end.value, stored, *by, claim.id, claim.token_hash])
        if cursor.rowcount != 1:
            raise SessionLeaseExpired
    claim.ended_at, claim.end = at, end


def end_lost_claim(claim: AgentClaim, at: datetime) -> None:
    """End a claim whose run is not held any more, unless a call on it has ended it meanwhile."""
    with connection.cursor() as cursor:
        lost: list[Any] = [at, ClaimEnd.LOST.value, None, "", None]
        cursor.execute(END_CLAIM, [*lost, claim.id, claim.token_hash])


def _require_unchanged(claim: AgentClaim) -> None:
    with connection.cursor() as cursor:
        cursor.execute(UNCHANGED, [claim.id, claim.token_hash])
        if cursor.fetchone() is None:
            raise SessionLeaseExpired
