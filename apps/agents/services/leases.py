"""Work on what a session holds: renew, complete, fail and release it.

1. Lock the run with its task, and check that the session holds it, in the order of the reference.
2. Close the claim by compare-and-swap, before the worker is locked. It is the session's, of the
   run's epoch: so no other claim has its hash.
3. Call the kernel's service, whose epoch refuses every late call, in the same transaction: events
   and webhooks are its own.

A heartbeat and a completion are three statements each: tests/integration/test_claim_statements.py.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.agents.models import AgentClaim, AgentSession, ClaimEnd
from apps.agents.selectors import live_claims
from apps.agents.services.run_log import lease_rows
from apps.base.reading import Reader, columns_of
from apps.base.transactions import atomic
from apps.operations.log import LogType
from apps.tasks import services as tasks
from apps.tasks.models import Run
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
    run, until = lease.run, at + timedelta(seconds=lease_seconds)
    rows = lease_rows(
        LogType.RUN_LEASE_EXTENDED,
        "heartbeat",
        actor=actor,
        session=session,
        run=run,
        at=at,
        status=run.status,
        lease_until=format_time(until),
        heartbeat_at=format_time(at),
        claim_token_hash=lease.claim.token_hash,
    )
    tasks.renew_held(run=run, lease_seconds=lease_seconds, at=at, also=rows)
    return lease


@atomic()
def complete_claim(
    *, actor: Principal, session: AgentSession, run_id: UUID, result: Any, at: datetime
) -> Lease:
    """Submit the result, with all files that the worker has added to the run; start it before.

    What a submission leads to is the kernel's: a review may hold the task. Raise as
    `heartbeat_claim` does, and `InvalidInput` where the task's schema refuses the result.
    """
    run = tasks.lock_run_of(organisation_id=session.organisation_id, run_id=run_id)
    claim, evidence = _complete(run, session, actor, at)
    rows = lease_rows(
        LogType.RUN_COMPLETED,
        "complete",
        actor=actor,
        session=session,
        run=run,
        at=at,
        task_status="completed",
        status="completed",
        result=result,
        claim_token_hash=claim.token_hash,
    )
    tasks.finish_held(
        run=run,
        actor=session.as_worker(actor).as_worker(),
        output=result,
        evidence=evidence,
        at=at,
        also=rows,
    )
    return Lease(run, claim, session)


ENDED_COLUMNS = columns_of(AgentClaim, alias="ended")
# Files are added under the lock of the run: none is committed between this and the submission.
COMPLETE_CLAIM = f"""
WITH ended AS (
    UPDATE agents_agentclaim SET ended_at = %(at)s, "end" = 'completed',
        completed_by = %(completed_by)s, completed_by_member = %(member_id)s
    WHERE run_id = %(run_id)s AND epoch = %(epoch)s AND session_id = %(session_id)s
        AND ended_at IS NULL
    RETURNING *)
SELECT {ENDED_COLUMNS}, ARRAY(
    SELECT evidence.id FROM tasks_evidence evidence
    WHERE evidence.run_id = %(run_id)s AND evidence.worker_id = %(worker_id)s
        AND evidence.purged_at IS NULL
    ORDER BY evidence.id)
FROM ended
"""
_ended = Reader(AgentClaim, COMPLETE_CLAIM, extra=["evidence"])


def _complete(
    run: Run, session: AgentSession, actor: Principal, at: datetime
) -> tuple[AgentClaim, list[UUID]]:
    """End the session's live claim of a locked run. Return it, and the files of the run's worker.

    Raise as `_held_claim` does.
    """
    params: dict[str, Any] = {
        "at": at,
        "completed_by": actor.text,
        "member_id": actor.member_id,
        "run_id": run.id,
        "epoch": run.epoch,
        "session_id": session.id,
        "worker_id": session.worker_id,
    }
    is_held = run.is_held_by(worker_id=session.worker_id, epoch=run.epoch, at=at)
    claim = _ended.first(params) if is_held else None
    if claim is None:
        _held_claim(run, session, at)
        raise SessionLeaseExpired
    return claim, vars(claim)["evidence"]


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

    Raise `NotFound`, and as `_held_claim` does.
    """
    run = tasks.lock_run_of(organisation_id=session.organisation_id, run_id=run_id)
    return Lease(run, _held_claim(run, session, at), session)


CLAIM_COLUMNS = columns_of(AgentClaim, alias="claim")
LAST_CLAIM = f"""
SELECT {CLAIM_COLUMNS} FROM agents_agentclaim claim
WHERE claim.run_id = %(run_id)s AND claim.session_id = %(session_id)s
ORDER BY claim.epoch DESC LIMIT 1
"""
_last_claim = Reader(AgentClaim, LAST_CLAIM)


def _held_claim(run: Run, session: AgentSession, at: datetime) -> AgentClaim:
    """Return the session's live claim of a locked run.

    Where the session never claimed it, raise `ForeignRun` if it holds another run, else
    `NoActiveLease`; `SessionLeaseExpired`. An index ensures that a session holds one run at most.
    """
    claim = _last_claim.first({"run_id": run.id, "session_id": session.id})
    if claim is None:
        raise ForeignRun if live_claims(session, at).exists() else NoActiveLease
    is_live = run.is_held_by(worker_id=session.worker_id, epoch=claim.epoch, at=at)
    if claim.ended_at is not None or not is_live:
        raise SessionLeaseExpired
    return claim


END_CLAIM = """
UPDATE agents_agentclaim SET ended_at = %s, "end" = %s, failure_metadata = %s::jsonb
WHERE id = %s AND token_hash = %s AND ended_at IS NULL
"""


def end_claim(
    claim: AgentClaim, end: ClaimEnd, at: datetime, *, failure_metadata: Any = None
) -> None:
    """End an open claim without a result.

    Raise `SessionLeaseExpired` where it has ended, or is another one.
    """
    metadata = AgentClaim._meta.get_field("failure_metadata")
    stored = metadata.get_db_prep_save(failure_metadata, connection)
    with connection.cursor() as cursor:
        cursor.execute(END_CLAIM, [at, end.value, stored, claim.id, claim.token_hash])
        if cursor.rowcount != 1:
            raise SessionLeaseExpired
    claim.ended_at, claim.end = at, end


def end_lost_claim(claim: AgentClaim, at: datetime) -> None:
    """End a claim whose run is not held any more, unless a call on it has ended it meanwhile."""
    with connection.cursor() as cursor:
        lost: list[Any] = [at, ClaimEnd.LOST.value, None]
        cursor.execute(END_CLAIM, [*lost, claim.id, claim.token_hash])
